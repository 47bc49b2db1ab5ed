"""The winner of the sweep, trained in full."""

from __future__ import annotations

from typing import Any

from ganlib.config import GanConfig, PipelineConfig, overlay
from ganlib.errors import Collapsed
from ganlib.stages import forks, training_runs
from ganlib.stages.context import Context
from ganlib.stages.forks import Fork
from ganlib.stages.keys import code
from ganlib.stages.orders import ForGan
from ganlib.stages.records import Work, run_stage
from ganlib.stages.sessions import ray_log
from ganlib.stages.values import Best, Candidate, DatasetRef, Judges, StageResult
from ganlib.storage import Home
from ganlib.training import Outcome


def settings(config: PipelineConfig, best: Best | None) -> GanConfig:
    """The recipe's with what the winner of a sweep changed."""
    if best is not None and best.target == "gan":
        return overlay(config, best.overlay).gan
    return config.gan


def parts(
    home: Home,
    config: PipelineConfig,
    dataset: DatasetRef,
    judges: Judges,
    best: Best | None,
) -> dict[str, Any]:
    """Workers are no part: any number computes the same step. Threads are."""
    gan = settings(config, best)
    return {
        "gan": gan,
        "evaluation": training_runs.selection(config.evaluation),
        "threads": config.cluster.threads,
        "dataset": dataset.fingerprint,
        "selector": judges.selector.fingerprint,
        "init_from": training_runs.start(home, gan)[1],
        **code(gan),
    }


def run(
    context: Context,
    dataset: DatasetRef,
    judges: Judges,
    best: Best | None = None,
    origin: str = "",
) -> StageResult[Candidate]:
    """`origin` is `RUN@CLOCK`, the snapshot to go on from, and part of the key where it is given.

    Raises what `forks` does.
    """
    start, own = None, parts(context.home, context.config, dataset, judges, best)
    if origin:
        start = forks.fork(context.home, origin)
        forks.check(settings(context.config, best), start, context.config.data)
        own |= {"origin": {"name": start.name, "settings": start.digest}}
    return run_stage(
        context,
        "gan",
        own,
        Candidate,
        lambda work: _train(work, dataset, judges, best, start),
        describe=_describe,
        verdict=lambda made: made.model.verdict or "done",
        images=settings(context.config, best).budget.images,
        given=ForGan(dataset=dataset, judges=judges, best=best, origin=origin),
    )


def _train(
    work: Work, dataset: DatasetRef, judges: Judges, best: Best | None, start: Fork | None
) -> Candidate:
    """The stage's own journal is the training run's: workers append to it."""
    from ganlib.cluster import fit

    context = work.context
    config, cluster = settings(context.config, best), context.config.cluster
    workers = cluster.workers
    told = {"gan": config.model_dump(mode="json"), "workers": workers}
    fewest = {} if cluster.min_workers is None else {"min_workers": cluster.min_workers}
    work.journal.params(told | fewest)
    work.journal.dataset(context.config.name, dataset.fingerprint, dataset.folder)
    if start is not None:
        work.journal.tags({"ganlib.from": start.name})
    spec = training_runs.spec(
        context,
        config,
        dataset,
        work.folder,
        work.identity,
        workers=workers,
        judges=judges,
        origin=None if start is None else start.origin,
    )
    outcome = fit(
        spec, cluster, workers=workers, fewest=cluster.min_workers, log=ray_log(context.home)
    )
    if outcome.series:
        work.picture(outcome.clock, "curves", _curves(outcome))
    if outcome.collapsed:  # recorded, and trained on with to its end
        raise Collapsed(outcome.clock, outcome.collapse)
    return Candidate(
        model=training_runs.model("generator", outcome, work.identity),
        overlay=best.overlay if best else {},
        config=config.model_dump(mode="json"),
    )


def _curves(outcome: Outcome) -> bytes:
    """What was watched while it trained, in the selector's features."""
    from ganlib.evaluation import pictures

    names = [name for name in training_runs.SHOWN if name in outcome.readings]
    return pictures.curves(
        {
            name: [(clock, found[name]) for clock, found in outcome.series if name in found]
            for name in names
        },
        title="validation images, selector's features",
    )


def _describe(made: Candidate) -> str:
    text = training_runs.readings(made.model.metrics)
    stalled = f", {made.model.verdict}" if made.model.verdict else ""
    return f"{made.model.images:,} images, ended by {made.model.reason}{stalled}: {text}."
