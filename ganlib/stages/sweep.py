"""Trials over a space of settings, and the winner's overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganlib.config import ClassifierConfig, GanConfig, PipelineConfig, overlay
from ganlib.errors import ConfigError
from ganlib.stages import training_runs
from ganlib.stages.context import Context
from ganlib.stages.keys import code
from ganlib.stages.orders import ForSweep
from ganlib.stages.records import Work, run_stage
from ganlib.stages.sessions import ray_log
from ganlib.stages.values import Best, DatasetRef, Judges, StageResult
from ganlib.storage import Home
from ganlib.training import Journal

if TYPE_CHECKING:
    from ganlib.cluster import TrialResult


def parts(
    home: Home, config: PipelineConfig, dataset: DatasetRef, judges: Judges | None
) -> dict[str, Any]:
    """How many trials run at once is no part: what wins does not depend on who arrives first."""
    sweep = config.sweep.model_dump(mode="json", exclude={"concurrent"})
    target = config.classifier if config.sweep.target == "classifier" else config.gan
    if config.sweep.target == "classifier":
        own: dict[str, Any] = {"classifier": config.classifier}
    else:
        own = {"gan": config.gan, "evaluation": training_runs.selection(config.evaluation)}
    return {
        "sweep": sweep,
        **own,
        "threads": config.cluster.threads,
        "dataset": dataset.fingerprint,
        "selector": _watching(config, judges),
        "init_from": training_runs.start(home, target)[1],
        **code(sweep, *own.values()),
    }


def _watching(config: PipelineConfig, judges: Judges | None) -> str | None:
    if config.sweep.target == "classifier":
        return None
    if judges is None:
        raise ConfigError(
            "a sweep over the GAN needs the selector", where="sweep.target", hint="train it first"
        )
    return judges.selector.fingerprint


def run(context: Context, dataset: DatasetRef, judges: Judges | None = None) -> StageResult[Best]:
    return run_stage(
        context,
        "sweep",
        parts(context.home, context.config, dataset, judges),
        Best,
        lambda work: _sweep(work, dataset, judges),
        describe=_describe,
        given=ForSweep(dataset=dataset, judges=judges) if _searches(context.config) else None,
    )


def _searches(config: PipelineConfig) -> bool:
    return config.sweep.trials > 1 and bool(config.sweep.space)


def _sweep(work: Work, dataset: DatasetRef, judges: Judges | None) -> Best:
    config = work.context.config
    target = config.sweep.target
    if not _searches(config):
        work.journal.note("nothing to choose from: the settings stay as they are")
        return Best(overlay={}, trial=0, trials=0, readings={}, target=target)
    from ganlib.cluster import TrialPlan, best, draw, result_of, sweep, to_frame

    work.journal.params({"sweep": config.sweep.model_dump(mode="json")})
    work.journal.dataset(config.name, dataset.fingerprint, dataset.folder)
    plans = []
    for number in range(config.sweep.trials):
        changes = draw(config.sweep.space, config.sweep.seed, number)
        settings = _budgeted(overlay(config, changes), config.sweep.images)
        name = f"t{number:03d}"
        identity = work.child(name, images=config.sweep.images, trial=name)
        spec = training_runs.spec(
            work.context,
            settings,
            dataset,
            work.folder / name,
            identity,
            workers=1,
            judges=judges if target == "gan" else None,
        )
        plans.append(TrialPlan(number=number, overlay=changes, spec=spec))
    identities = [plan.spec.identity for plan in plans if plan.spec.identity]

    def ended(journal: Journal) -> bool:
        result = result_of(work.folder, identities.index(journal.identity))
        if result is not None:
            _close(journal, result)
        return result is not None

    with training_runs.owning(work.context.home, identities, ended) as journals:
        for journal, plan in zip(journals, plans, strict=True):
            journal.params({"overlay": plan.overlay})
            journal.dataset(config.name, dataset.fingerprint, dataset.folder)
        results = sweep(
            plans, config.sweep, config.cluster, work.folder, log=ray_log(work.context.home)
        )
        winner = best(results, config.sweep)
        for journal, result in zip(journals, results, strict=True):
            _close(journal, result, winner)
    return Best(
        overlay=winner.overlay,
        trial=winner.number,
        trials=len(results),
        readings=winner.readings,
        table=work.table("trials", to_frame(results)),
        target=target,
    )


def _budgeted(config: PipelineConfig, images: int) -> GanConfig | ClassifierConfig:
    """The target's settings with a trial's budget; the sweep's own wall time is the limit."""
    chosen = config.gan if config.sweep.target == "gan" else config.classifier
    budget = chosen.budget.model_copy(update={"images": images, "wall_minutes": None})
    return chosen.model_copy(update={"budget": budget})


def _close(journal: Journal, result: TrialResult, winner: TrialResult | None = None) -> None:
    """A trial that fell over failed, though the sweep goes on; one that broke off has no winner."""
    text = result.note or training_runs.readings(result.readings)
    sentence = f"{result.images:,} images: {text}."
    if result.fell_over:
        journal.close("FAILED", result.reason, sentence)
    else:
        won = winner is not None and result.number == winner.number
        verdict = "winner" if won else result.reason
        journal.close("FINISHED", verdict, sentence)


def _describe(made: Best) -> str:
    if not made.trials:
        return "Nothing to choose from: the settings stay as they are."
    changed = ", ".join(f"{path}={value}" for path, value in made.overlay.items())
    text = training_runs.readings(made.readings)
    return (
        f"Trial {made.trial} of {made.trials} wins ({changed or 'as the recipe stands'}): {text}."
    )
