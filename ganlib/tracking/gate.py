"""Whether a model may be promoted: pure, from what was measured and what is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from ganlib.config import Config, PromotionConfig

Outcome = Literal["promoted", "refused", "cannot_tell"]


class Evidence(Config):
    """What one judge measured on one model; a value that is not finite is none: not measured.

    `judge` names the judge's digest, `samples` how many were judged, `spreads` the standard error
    of each metric, `degrees` of freedom it was estimated with (none where it is known, as a
    binomial one), `doubt` why the judge cannot be relied on.
    """

    judge: str
    samples: int
    metrics: dict[str, float | None]
    spreads: dict[str, float] = Field(default_factory=dict)
    degrees: dict[str, int] = Field(default_factory=dict)
    doubt: str = ""

    @field_validator("metrics", mode="before")
    @classmethod
    def _finite(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v if v is not None and math.isfinite(v) else None for k, v in values.items()}


class Rule(Config):
    """`limit` is what all must reach; with `compare` it must not be worse than the champion.

    A rule about the judge itself (`trust`) does not speak against the model: nothing can be told.
    `told` is the sentence for a missed limit, of {value} and {limit}. A value up to `chance`,
    which guessing reaches, tells nothing either.
    """

    metric: str
    better: Literal["higher", "lower"]
    limit: float | None = None
    compare: bool = False
    trust: bool = False
    told: str = ""
    chance: float | None = None


class Gate(Config):
    """`spread_factor` standard errors of a difference are no difference; more, by Student's t,
    where they are estimated."""

    rules: tuple[Rule, ...]
    spread_factor: float = Field(default=2.0, ge=0)


class Verdict(Config):
    """`reasons` are sentences, for people."""

    outcome: Outcome
    reasons: tuple[str, ...]


def guessing(classes: int, images: int) -> float:
    """The share of `images` that guessing among `classes` gets right, and three standard errors."""
    share = 1 / classes
    return share + 3 * math.sqrt(share * (1 - share) / images)


def generator_gate(
    config: PromotionConfig,
    classes: float,
    *,
    spread: float = 0.0,
    judge_chance: float | None = None,
    label_chance: float = 0.0,
) -> Gate:
    """Metrics as `evaluation` names them, and `judge_accuracy` of the judge.

    `classes` is how many as many real images show, give or take `spread`: with fewer by more than
    `spread_factor` of these the generator has collapsed. A judge up to
    `judge_chance` tells nothing, and labels up to `label_chance` steer nothing; a generator that
    knows no labels is let through by `min_label_agreement` 0.
    """
    asked = config.min_classes_present * classes
    collapsed = f"it has collapsed: {{value:.4g}} of {classes:.4g} classes are present"
    return Gate(
        rules=(
            Rule(
                metric="judge_accuracy",
                better="higher",
                limit=config.min_judge_accuracy,
                trust=True,
                chance=judge_chance,
            ),
            Rule(
                metric="classes_present",
                better="higher",
                limit=asked - config.spread_factor * spread,
                told=collapsed,
            ),
            _covering(config),
            _labels(config.min_label_agreement, label_chance),
            *_compared(config),
        ),
        spread_factor=config.spread_factor,
    )


UNASKED = (
    "its images have no classes, so the judge's accuracy, the classes present and the label "
    "agreement were not asked about"
)


def classless_gate(config: PromotionConfig) -> Gate:
    """What can be asked where there are no classes; a decision says UNASKED beside its reasons."""
    rules = (_covering(config), *_compared(config))
    return Gate(rules=rules, spread_factor=config.spread_factor)


def _covering(config: PromotionConfig) -> Rule:
    low = config.min_relative_coverage
    return Rule(metric="relative_coverage", better="higher", limit=low)


def _compared(config: PromotionConfig) -> tuple[Rule, Rule]:
    return (
        Rule(
            metric="scaled_distance", better="lower", limit=config.max_scaled_distance, compare=True
        ),
        Rule(metric="coverage", better="higher", compare=True),
    )


def classifier_gate(config: PromotionConfig, chance: float | None = None) -> Gate:
    """`accuracy` on held-out images; its spread is the binomial standard error."""
    limit = config.min_judge_accuracy
    rule = Rule(metric="accuracy", better="higher", limit=limit, compare=True, chance=chance)
    return Gate(rules=(rule,), spread_factor=config.spread_factor)


def _labels(limit: float, chance: float) -> Rule:
    if not 0 < limit <= chance:
        return Rule(metric="label_agreement", better="higher", limit=limit)
    told = "label agreement is {value:.4g}, and guessing alone reaches {limit:.4g}"
    beyond = math.nextafter(chance, math.inf)
    return Rule(metric="label_agreement", better="higher", limit=beyond, told=told)


def decide(evidence: Evidence, champion: Evidence | None, gate: Gate) -> Verdict:
    """Without a champion only the limits count.

    What was not measured, or by a judge not to be trusted, can neither promote nor refuse.
    """
    trusted = [rule for rule in gate.rules if rule.trust]
    distrust = [t for r in trusted if (t := _limit(r, evidence) or _guessed(r, evidence))]
    said = [f"{text}: the judge cannot be relied on" for text in distrust]
    said += [evidence.doubt] if evidence.doubt else []
    if said:
        return Verdict(outcome="cannot_tell", reasons=tuple(said))
    rules = [rule for rule in gate.rules if not rule.trust]
    against = [text for rule in rules if (text := _limit(rule, evidence))]
    unknown = _unknown(evidence, champion, gate.rules)
    if champion is not None and not unknown:
        compared = [rule for rule in rules if rule.compare]
        worse = [_worse(rule, evidence, champion, gate.spread_factor) for rule in compared]
        against += [text for text in worse if text]
    unknown += [text for rule in rules if (text := _guessed(rule, evidence))]
    if against:
        return Verdict(outcome="refused", reasons=tuple(against))
    if unknown:
        return Verdict(outcome="cannot_tell", reasons=tuple(unknown))
    return Verdict(outcome="promoted", reasons=_praise(evidence, champion, rules))


def _limit(rule: Rule, evidence: Evidence) -> str:
    """What is wrong with the value itself; empty if nothing or not measured."""
    value = evidence.metrics.get(rule.metric)
    if value is None or rule.limit is None:
        return ""
    below = rule.better == "higher" and value < rule.limit
    above = rule.better == "lower" and value > rule.limit
    if not below and not above:
        return ""
    if rule.told:
        return rule.told.format(value=value, limit=rule.limit)
    return f"{_words(rule)} is {value:.4g}, {'below' if below else 'above'} {rule.limit:g}"


def _guessed(rule: Rule, evidence: Evidence) -> str:
    """Empty unless the value is one that guessing reaches."""
    value = evidence.metrics.get(rule.metric)
    if value is None or rule.chance is None or value > rule.chance:
        return ""
    return f"{_words(rule)} is {value:.4g}, and guessing alone reaches {rule.chance:.4g}"


def _unknown(evidence: Evidence, champion: Evidence | None, rules: tuple[Rule, ...]) -> list[str]:
    said = [
        f"{_words(rule)} could not be measured"
        for rule in rules
        if evidence.metrics.get(rule.metric) is None
    ]
    if champion is None:
        return said
    if champion.judge != evidence.judge:
        said.append("the champion was not judged by the same judge")
    if champion.samples != evidence.samples:
        said.append(
            f"the champion was judged on {champion.samples} samples and this on {evidence.samples}"
        )
    said += [
        f"{_words(rule)} of the champion could not be measured"
        for rule in rules
        if rule.compare and champion.metrics.get(rule.metric) is None
    ]
    return said


def _worse(rule: Rule, evidence: Evidence, champion: Evidence, factor: float) -> str:
    """Empty unless the loss exceeds `factor` standard errors of the difference.

    Errors estimated from a few sets ask for more: the quantile of Student's t that is as far out
    as `factor` is of a normal, with the degrees of both, since equal models vary equally.
    """
    mine, theirs = evidence.metrics[rule.metric], champion.metrics[rule.metric]
    assert mine is not None
    assert theirs is not None
    loss = theirs - mine if rule.better == "higher" else mine - theirs
    spreads = (evidence.spreads.get(rule.metric, 0.0), champion.spreads.get(rule.metric, 0.0))
    degrees = sum(one.degrees.get(rule.metric, 0) for one in (evidence, champion))
    allowed = _quantile(factor, degrees) * math.hypot(*spreads)
    if loss <= allowed + 1e-12:
        return ""
    return (
        f"{_words(rule)} is {mine:.4g} and the champion's {theirs:.4g}: "
        f"worse by {loss:.2g}, where {allowed:.2g} would be chance"
    )


def _quantile(factor: float, degrees: int) -> float:
    from ganlib.metrics.intervals import student

    return student(degrees, factor) if degrees else factor


def _praise(evidence: Evidence, champion: Evidence | None, rules: list[Rule]) -> tuple[str, ...]:
    values = ", ".join(f"{_words(rule)} {evidence.metrics[rule.metric]:.4g}" for rule in rules)
    if champion is None:
        return (f"it reaches every limit ({values})", "there was no champion to compare it with")
    compared = ", ".join(_words(rule) for rule in rules if rule.compare)
    return (
        f"it reaches every limit ({values})",
        f"its {compared} are not worse than the champion's beyond chance",
    )


def _words(rule: Rule) -> str:
    return rule.metric.replace("_", " ")
