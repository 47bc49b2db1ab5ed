"""What promotes, what refuses, and what nobody can tell."""

from __future__ import annotations

import pytest
import torch

from ganlib.config import PromotionConfig
from ganlib.tracking.gate import (
    Evidence,
    classifier_gate,
    classless_gate,
    decide,
    generator_gate,
    guessing,
)

GOOD = {
    "judge_accuracy": 0.99,
    "relative_coverage": 0.95,
    "coverage": 0.9,
    "scaled_distance": 0.01,
    "label_agreement": 0.98,
    "classes_present": 10,
}
SPREADS = {"coverage": 0.01, "scaled_distance": 0.001}
GATE = generator_gate(PromotionConfig(), classes=10)


def evidence(judge: str = "j", samples: int = 1000, **changed: float) -> Evidence:
    return Evidence(judge=judge, samples=samples, metrics={**GOOD, **changed}, spreads=SPREADS)


@pytest.mark.parametrize(
    ("mine", "champion", "outcome", "reason"),
    [
        (evidence(), None, "promoted", "there was no champion"),
        (evidence(), evidence(), "promoted", "not worse than the champion's"),
        (evidence(relative_coverage=0.2), None, "refused", "relative coverage is 0.2, below 0.5"),
        (evidence(scaled_distance=0.5), None, "refused", "scaled distance is 0.5, above 0.2"),
        (evidence(label_agreement=0.1), None, "refused", "label agreement"),
        (evidence(classes_present=3), None, "refused", "collapsed: 3 of 10 classes are present"),
        (evidence(classes_present=9.667), evidence(), "refused", "collapsed: 9.667 of 10"),
        # A difference of two spreads of 0.01 has one of 0.0141: 2 x 0.0141 = 0.028 is allowed.
        (evidence(coverage=0.873), evidence(), "promoted", "not worse"),
        (evidence(coverage=0.871), evidence(), "refused", "coverage is 0.871 and the champion's"),
        (evidence(scaled_distance=0.012), evidence(), "promoted", "not worse"),
        (evidence(scaled_distance=0.013), evidence(), "refused", "worse by 0.003"),
        (evidence(coverage=float("nan")), None, "cannot_tell", "coverage could not be measured"),
        (evidence(), evidence(coverage=float("inf")), "cannot_tell", "coverage of the champion"),
        (evidence(), evidence(judge="other"), "cannot_tell", "same judge"),
        (evidence(), evidence(samples=10), "cannot_tell", "judged on 10 samples and this on 1000"),
        (evidence(judge_accuracy=0.3), evidence(), "cannot_tell", "the judge cannot be relied on"),
        (evidence().model_copy(update={"doubt": "not promoted"}), None, "cannot_tell", "not pro"),
        # What is certainly wrong outweighs what is unknown.
        (evidence(coverage=float("nan"), scaled_distance=3), None, "refused", "above 0.2"),
    ],
)
def test_decisions(mine: Evidence, champion: Evidence | None, outcome: str, reason: str) -> None:
    verdict = decide(mine, champion, GATE)
    assert verdict.outcome == outcome
    assert any(reason in said for said in verdict.reasons), verdict.reasons


def refusals(worse: float, *, sets: int = 3, trials: int = 2000) -> float:
    """How often a challenger, `worse` deviations of a set behind, loses by its distance."""
    generator = torch.Generator().manual_seed(5)

    def measured(middle: float) -> Evidence:
        values = middle + 0.001 * torch.randn(sets, generator=generator).double()
        return Evidence(
            judge="j",
            samples=1000,
            metrics={**GOOD, "scaled_distance": float(values.mean())},
            spreads={"scaled_distance": float(values.std()) / sets**0.5},
            degrees={"scaled_distance": sets - 1},
        )

    lost = [
        decide(measured(0.01 + 0.001 * worse), measured(0.01), GATE).outcome == "refused"
        for _ in range(trials)
    ]
    return sum(lost) / trials


@pytest.mark.parametrize("sets", [2, 3, 10])
def test_an_equal_model_is_refused_as_seldom_as_two_errors_say(sets: int) -> None:
    """By a normal's quantile three sets would refuse 6 % instead of 2.3 %."""
    assert 0.01 < refusals(0.0, sets=sets) < 0.04


def test_a_worse_model_is_refused_with_three_sets_and_by_less_with_ten() -> None:
    """The error of the mean of ten sets is a third of that of one."""
    assert refusals(5.0) > 0.95
    assert refusals(2.0, sets=10) > 0.95


def test_without_classes_coverage_and_distance_decide_alone() -> None:
    gate = classless_gate(PromotionConfig())
    assert [rule.metric for rule in gate.rules] == [
        "relative_coverage",
        "scaled_distance",
        "coverage",
    ]
    about_classes = ("judge_accuracy", "label_agreement", "classes_present")
    known = {name: value for name, value in GOOD.items() if name not in about_classes}
    mine = Evidence(judge="n", samples=1000, metrics=known, spreads=SPREADS)
    assert decide(mine, None, GATE).outcome == "cannot_tell"
    promoted = decide(mine, None, gate)
    assert promoted.outcome == "promoted"
    assert not [said for said in promoted.reasons if "label" in said or "class" in said]
    less = mine.model_copy(update={"metrics": known | {"relative_coverage": 0.2}})
    assert decide(less, None, gate).reasons == ("relative coverage is 0.2, below 0.5",)


def test_a_promotion_may_live_with_missing_classes() -> None:
    gate = generator_gate(PromotionConfig(min_classes_present=0.3), classes=10)
    assert decide(evidence(classes_present=3), None, gate).outcome == "promoted"
    assert decide(evidence(classes_present=2), None, gate).outcome == "refused"


def test_a_classifier_is_compared_by_accuracy() -> None:
    gate = classifier_gate(PromotionConfig(min_judge_accuracy=0.9))
    spread = {"accuracy": 0.004}
    good = Evidence(judge="held-out", samples=500, metrics={"accuracy": 0.98}, spreads=spread)
    near = Evidence(judge="held-out", samples=500, metrics={"accuracy": 0.97}, spreads=spread)
    worse = Evidence(judge="held-out", samples=500, metrics={"accuracy": 0.96}, spreads=spread)
    bad = Evidence(judge="held-out", samples=500, metrics={"accuracy": 0.8}, spreads=spread)
    assert decide(near, good, gate).outcome == "promoted"
    assert decide(worse, good, gate).outcome == "refused"
    assert decide(bad, None, gate).outcome == "refused"


FOLDER = PromotionConfig(min_label_agreement=0.3, min_judge_accuracy=0.5)


def test_guessing_is_one_of_the_classes_and_three_standard_errors() -> None:
    # Of 100 throws of a coin 50 are right, give or take 5.
    assert guessing(2, 100) == pytest.approx(0.65)
    assert guessing(10, 900) == pytest.approx(0.13)


def test_a_judge_that_only_guesses_promotes_nothing() -> None:
    chance = guessing(2, 100)
    gate = classifier_gate(FOLDER, chance)
    for accuracy, outcome in ((0.4, "refused"), (0.5, "cannot_tell"), (0.66, "promoted")):
        judge = Evidence(judge="held-out", samples=100, metrics={"accuracy": accuracy})
        assert decide(judge, None, gate).outcome == outcome
    gate = generator_gate(FOLDER, 2, judge_chance=chance)
    mine = {"classes_present": 2, "label_agreement": 0.9}
    verdict = decide(evidence(judge_accuracy=0.5, **mine), None, gate)
    assert verdict.outcome == "cannot_tell"
    assert "judge accuracy is 0.5, and guessing alone reaches 0.65" in verdict.reasons[0]
    assert decide(evidence(judge_accuracy=0.66, **mine), None, gate).outcome == "promoted"


@pytest.mark.parametrize(
    ("agreement", "limit", "outcome"),
    [
        (0.31, 0.3, "refused"),
        (0.65, 0.3, "refused"),
        (0.66, 0.3, "promoted"),
        (0.31, 0, "promoted"),
    ],
)
def test_labels_that_steer_nothing_are_refused_unless_none_are_asked_for(
    agreement: float, limit: float, outcome: str
) -> None:
    config = PromotionConfig(min_label_agreement=limit)
    gate = generator_gate(config, 2, label_chance=guessing(2, 100))
    verdict = decide(evidence(classes_present=2, label_agreement=agreement), None, gate)
    assert verdict.outcome == outcome
    assert outcome == "promoted" or "guessing alone reaches 0.65" in verdict.reasons[0]
