"""Register the generator, and the judge if it was trained, and let the gates decide.

No record is kept: the registry is asked each time, and its history answers what it knows already.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config import fingerprint
from ganlib.errors import Damaged, Refused
from ganlib.stages import evaluate, judges, named, pipelines
from ganlib.stages.beats import beating
from ganlib.stages.context import Context
from ganlib.stages.keys import model_fingerprint
from ganlib.stages.records import close_late, identity_of
from ganlib.stages.values import (
    Candidate,
    Decision,
    EvaluationResult,
    Judges,
    JudgeScores,
    Metric,
    ModelRef,
    NetworkRef,
    RegisteredModel,
    RolledBack,
    StageResult,
)
from ganlib.storage import Home
from ganlib.training import Journal

if TYPE_CHECKING:
    from ganlib import tracking

# A share of N images has a grain of 1 / N, and so has what their mean adds to a scaled distance.
GRAINED = (
    "coverage",
    "label_agreement",
    "precision",
    "recall",
    "relative_coverage",
    "scaled_distance",
)


def run(
    context: Context,
    candidate: Candidate,
    evaluation: EvaluationResult,
    chosen: Judges,
) -> StageResult[Decision]:
    """A trained judge first: it is a product, and the generator's evidence rests on it.

    Raises Refused, and registers nothing, where the generator collapsed while it was trained.
    """
    if candidate.model.collapsed:
        said = f"it {candidate.model.verdict} while it was trained"
        raise Refused(f"{context.config.name}-generator is not registered", (said,))
    key = fingerprint("promote", evaluation, context.config.promotion)
    telling = _Telling(context, key, [pipelines.journal(context.home, context.pipeline_id)])
    begun = time.monotonic()
    try:
        with beating(telling.alive):
            judge = _promote_judge(context, telling, evaluation, chosen)
            decision = _promote_generator(context, telling, candidate, evaluation, judge)
    except BaseException as error:
        if telling.journal is not None:
            pipelines.close(telling.journal, error)
        raise
    seconds = time.monotonic() - begun
    run = context.pipeline_id
    if telling.journal is None:
        own = close_late(context, "promote", key, decision.verdict, _sentence(decision))
        if own is None:
            pipelines.reused(context.home, run, "promote", decision.generator.uri)
        run = own or run
        context.say(f"promote: the registry holds this decision already, {decision.verdict}")
    else:
        run = telling.journal.identity.id
        telling.journal.params({"promotion": context.config.promotion.model_dump(mode="json")})
        dataset = evaluation.dataset
        telling.journal.dataset(context.config.name, dataset.fingerprint, dataset.folder)
        telling.journal.close("FINISHED", decision.verdict, _sentence(decision))
    known = telling.journal is None
    return StageResult("promote", key, decision, known, seconds, run, context.pipeline_id)


@dataclass
class _Telling:
    """A run of its own, but only once there is something to decide."""

    context: Context
    key: str
    alive: list[Journal]
    journal: Journal | None = None

    def step(self, what: str, step: str) -> None:
        if self.journal is None:
            identity = identity_of(self.context, "promote", self.key)
            path = pipelines.journal_path(self.context.home, identity.id)
            self.journal = Journal(path, identity)
            self.alive.append(self.journal)
        self.journal.note(f"{what}: {step}")


def _promote_judge(
    context: Context, telling: _Telling, evaluation: EvaluationResult, chosen: Judges
) -> RegisteredModel | None:
    """None where no classifier was trained."""
    judge, scores = chosen.judge, evaluation.judge
    if isinstance(judge, NetworkRef) or scores is None:
        return None
    from ganlib import tracking

    name = f"{context.config.name}-classifier"
    evidence = _accuracy(evaluation, scores)
    version = _register(context, name, judge, {"accuracy": scores.accuracy}, evaluation)

    def reevaluate(champion: tracking.RegisteredVersion) -> tracking.Evidence:
        folder = tracking.fetch(context.home, champion.uri)
        return _accuracy(evaluation, evaluate.judge_alone(context, evaluation.dataset, folder))

    decision = tracking.promote(
        context.home,
        version,
        evidence,
        tracking.classifier_gate(context.config.promotion, _chance(evaluation, scores.samples)),
        reevaluate=reevaluate,
        load_and_sample=_try_classifier,
        again=context.fresh,
        on_step=lambda step: telling.step(name, step),
        on_wait=lambda who: context.say(f"promote: {who}"),
    )
    return _registered(version, decision)


def _promote_generator(
    context: Context,
    telling: _Telling,
    candidate: Candidate,
    evaluation: EvaluationResult,
    judge: RegisteredModel | None,
) -> Decision:
    from ganlib import tracking

    name, found = f"{context.config.name}-generator", evaluation.candidate
    version = _register(context, name, candidate.model, found.values(), evaluation, candidate)
    anew: list[str] = []

    def reevaluate(champion: tracking.RegisteredVersion) -> tracking.Evidence:
        folder = tracking.fetch(context.home, champion.uri)
        by = judge.uri if judge is not None else judges.name(evaluation.judge_model)
        anew.append(_judged_anew(context, champion, evaluation, by))
        result = evaluate.run_model(
            context,
            evaluation.dataset,
            evaluation.judge_model,
            _as_model(folder),
            label="champion",
        )
        return _evidence(result.value, evaluation.judge)

    decision = tracking.promote(
        context.home,
        version,
        _evidence(evaluation, evaluation.judge, _doubt(judge) if judge is not None else ""),
        _gate(context, evaluation),
        reevaluate=reevaluate,
        load_and_sample=_try_generator,
        also=() if evaluation.judge is not None else (tracking.UNASKED,),
        again=context.fresh,
        on_step=lambda step: telling.step(name, step),
        on_wait=lambda who: context.say(f"promote: {who}"),
    )
    model = _registered(version, decision)
    champion = f"models:/{name}/{decision.champion}" if decision.champion is not None else None
    return Decision(
        verdict=model.verdict,
        reasons=(*model.reasons, *anew),
        generator=model,
        judge=judge,
        champion=champion,
        already=decision.known,
    )


def _gate(context: Context, evaluation: EvaluationResult) -> tracking.Gate:
    """Classes are asked about where the judge knows them."""
    from ganlib import tracking

    asked = context.config.promotion
    if evaluation.judge is None:
        return tracking.classless_gate(asked)
    return tracking.generator_gate(
        asked,
        _classes(evaluation),
        spread=_told(evaluation, "classes_present").spread,
        judge_chance=_chance(evaluation, evaluation.judge.samples),
        label_chance=_chance(evaluation, evaluation.candidate.samples),
    )


def _register(
    context: Context,
    name: str,
    model: ModelRef,
    metrics: dict[str, float],
    evaluation: EvaluationResult,
    candidate: Candidate | None = None,
) -> tracking.RegisteredVersion:
    """Linked to the run that trained it, once that run has reached MLflow."""
    from ganlib import tracking

    told_by = evaluation.candidate.run
    if any(tracking.run_of(context.home, run) is None for run in (model.run, told_by)):
        with tracking.writing(context.home) as writer:
            writer.drain(30)
    run = tracking.run_of(context.home, model.run)
    settings: Any = candidate.config if candidate else context.config.classifier
    return tracking.register(
        context.home,
        Path(model.folder),
        name=name,
        run_id=run.run_id if run else None,
        metrics=metrics,
        dataset_fingerprint=evaluation.dataset.fingerprint,
        config=settings if isinstance(settings, dict) else settings.model_dump(mode="json"),
        experiment=context.experiment,
        tags={"ganlib.judge": evaluation.candidate.judge, "ganlib.run": model.run},
        evidence=_card(
            context, evaluation, evaluation.card if candidate else evaluation.judge_card
        ),
    )


def _card(context: Context, evaluation: EvaluationResult, card: str | None) -> str:
    """The evaluation's facts with the way to its page; empty if it wrote none."""
    from ganlib import tracking

    if card is None:
        return ""
    text = Path(card).read_text(encoding="utf-8")
    page = tracking.report_of(context.home, evaluation.candidate.run)
    if page is None:
        return text
    uri, link = page
    return f"[The report]({link}), one page with pictures: `{uri}`\n\n{text}"


def _accuracy(evaluation: EvaluationResult, scores: JudgeScores) -> tracking.Evidence:
    """Its spread is the binomial standard error, since the held-out images are fixed."""
    from ganlib.tracking import Evidence

    spread = math.sqrt(scores.accuracy * (1 - scores.accuracy) / scores.samples)
    return Evidence(
        judge=f"test split of {evaluation.dataset.fingerprint}",
        samples=scores.samples,
        metrics={"accuracy": scores.accuracy},
        spreads={"accuracy": spread},
    )


def _doubt(judge: RegisteredModel) -> str:
    """What a judge says that is itself turned away counts neither for the model nor against it."""
    if judge.verdict == "promoted":
        return ""
    said = judge.verdict.replace("_", " ")
    return f"its judge, {judge.uri}, was not promoted ({said}: {'; '.join(judge.reasons)})"


def _evidence(
    result: EvaluationResult, judge: JudgeScores | None, doubt: str = ""
) -> tracking.Evidence:
    """Standard errors of the means of sets; sets that happen to agree still leave one image of
    doubt in each."""
    from ganlib.tracking import Evidence

    grain, metrics = 1 / result.candidate.samples, result.candidate.metrics
    return Evidence(
        judge=result.candidate.judge,
        samples=result.candidate.samples,
        metrics=result.candidate.values() | ({"judge_accuracy": judge.accuracy} if judge else {}),
        spreads={
            m.metric: max(m.spread, grain * (m.metric in GRAINED)) / math.sqrt(m.sets or 1)
            for m in metrics
        },
        degrees={m.metric: m.sets - 1 for m in metrics if m.sets is not None and m.sets > 1},
        doubt=doubt or _unseen(result),
    )


def _unseen(result: EvaluationResult) -> str:
    """Where real images show no class, a generator that shows none has not collapsed by that."""
    if round(_classes(result)):
        return ""
    count = result.candidate.samples
    return f"the judge finds none of the classes in {count} real images, so none can be missed"


def _classes(evaluation: EvaluationResult) -> float:
    """Those that real images of the same count show: rare ones cannot be asked for."""
    shown = _told(evaluation, "classes_present").floor
    return len(evaluation.dataset.classes) if shown is None else shown


def _told(evaluation: EvaluationResult, metric: str) -> Metric:
    """Without spread and floor where there is none."""
    told = {m.metric: m for m in evaluation.candidate.metrics}
    return told.get(metric, Metric(metric=metric, value=0.0, spread=0.0))


def _chance(evaluation: EvaluationResult, images: int) -> float:
    from ganlib.tracking import guessing

    return guessing(len(evaluation.dataset.classes), images)


def _judged_anew(
    context: Context,
    champion: tracking.RegisteredVersion,
    evaluation: EvaluationResult,
    by: str,
) -> str:
    """Another judge starts a new baseline, and the decision says so."""
    from ganlib import tracking

    log = tracking.history(context.home, champion.name)
    promoted = log[(log["outcome"] == "promoted") & (log["version"] == champion.version)]
    before = str(promoted["judge"].iloc[-1]) if len(promoted) else ""
    who = f"the champion, version {champion.version}, was evaluated anew by {by}"
    if before == evaluation.candidate.judge:
        return f"{who}, the judge it was promoted by"
    return f"{who}, another judge than it was promoted by: a new baseline"


def _registered(
    version: tracking.RegisteredVersion, decision: tracking.Decision
) -> RegisteredModel:
    held = {"champion": decision.champion, "previous": decision.previous}
    aliases = [alias for alias, number in held.items() if number == version.version]
    if decision.outcome == "rolled_back":
        raise AssertionError("a promotion never rolls back")
    if not aliases:
        aliases = ["candidate" if decision.outcome == "promoted" else "challenger"]
    return RegisteredModel(
        name=version.name,
        version=str(version.version),
        uri=version.uri,
        aliases=tuple(aliases),
        verdict=decision.outcome,
        reasons=decision.reasons,
    )


def _as_model(folder: Path) -> ModelRef:
    return ModelRef(
        kind="generator",
        folder=str(folder),
        fingerprint=model_fingerprint(folder),
        run="registry",
        images=0,
        reason="registered",
        metrics={},
    )


def _try_generator(folder: Path) -> None:
    """Two images of every class, which must not all be one colour."""
    import torch

    from ganlib.evaluation import generate
    from ganlib.models import load_model

    loaded = load_model(folder)
    label_N = torch.arange(len(loaded.classes)).repeat(2)
    image_NHWC = generate(loaded.module, torch.arange(len(label_N)), label_N)
    if image_NHWC.min() == image_NHWC.max():
        raise Damaged(f"the generator in {folder} makes one colour only", where=str(folder))


def _try_classifier(folder: Path) -> None:
    import torch

    from ganlib.models import load_model

    loaded = load_model(folder)
    with torch.no_grad():
        logits_NK = loaded.module(torch.zeros(2, loaded.channels, loaded.size, loaded.size))
    if not torch.isfinite(logits_NK).all():
        raise Damaged(f"the classifier in {folder} gives no numbers", where=str(folder))


def _sentence(decision: Decision) -> str:
    reasons = "; ".join(decision.reasons)
    return f"{decision.generator.uri} {decision.verdict.replace('_', ' ')}: {reasons}."


def rollback(
    home: Home, name: str, reason: str, on_wait: Callable[[str], None] | None = None
) -> RolledBack:
    """`on_wait` is told whose promotion is waited for."""
    from ganlib import tracking

    full = named.full(name)
    check: Callable[[Path], None] = (
        _try_generator if full.endswith("-generator") else _try_classifier
    )
    done = tracking.rollback(
        home, full, load_and_sample=check, reason=reason or "asked for", on_wait=on_wait
    )
    log = tracking.history(home, full)
    return RolledBack(
        name=full,
        champion=f"models:/{full}/{done.champion}",
        before=f"models:/{full}/{log['before'].iloc[-1]}",
        reason="; ".join(done.reasons),
    )
