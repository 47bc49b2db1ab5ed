"""The judge and the selector: one configuration, two seeds, trained side by side."""

from __future__ import annotations

from typing import Any

from ganlib.config import ByNetworks, ClassifierConfig, PipelineConfig, overlay
from ganlib.errors import ConfigError
from ganlib.stages import training_runs
from ganlib.stages.context import Context
from ganlib.stages.keys import code
from ganlib.stages.orders import ForClassifiers
from ganlib.stages.records import Work, run_stage
from ganlib.stages.sessions import ray_log
from ganlib.stages.values import Best, Classifiers, DatasetRef, StageResult
from ganlib.storage import Home


def settings(config: PipelineConfig, best: Best | None) -> ClassifierConfig:
    """The recipe's, or those a sweep over the classifier found."""
    if best is not None and best.target == "classifier":
        return overlay(config, best.overlay).classifier
    return config.classifier


def required(config: PipelineConfig) -> None:
    """Raises ConfigError where there are no classes for a classifier to learn."""
    if isinstance(config.judging, ByNetworks):
        raise ConfigError(
            "the images have no classes, so no classifier is trained",
            where="judging",
            hint=f"{config.judging.gate.kind} gates and {config.judging.selector.kind} selects in "
            "its place, and both are there already; go on to the GAN",
        )


def parts(
    home: Home, config: PipelineConfig, dataset: DatasetRef, best: Best | None
) -> dict[str, Any]:
    classifier = settings(config, best)
    return {
        "classifier": classifier,
        "threads": config.cluster.threads,
        "dataset": dataset.fingerprint,
        "init_from": training_runs.start(home, classifier)[1],
        **code(classifier),
    }


def run(
    context: Context, dataset: DatasetRef, best: Best | None = None
) -> StageResult[Classifiers]:
    required(context.config)
    return run_stage(
        context,
        "classifiers",
        parts(context.home, context.config, dataset, best),
        Classifiers,
        lambda work: _train(work, dataset, best),
        describe=_describe,
        given=ForClassifiers(dataset=dataset, best=best),
    )


def _train(work: Work, dataset: DatasetRef, best: Best | None) -> Classifiers:
    from ganlib.cluster import fit_many

    context = work.context
    config = settings(context.config, best)
    workers = context.config.cluster.classifier_workers
    work.journal.params({"classifier": config.model_dump(mode="json"), "workers": workers})
    specs = []
    for offset, name in enumerate(("judge", "selector")):
        seeded = config.model_copy(update={"seed": config.seed + offset})
        identity = work.child(name, images=config.budget.images)
        folder = work.folder / name
        specs.append(
            training_runs.spec(context, seeded, dataset, folder, identity, workers=workers)
        )
    identities = [spec.identity for spec in specs if spec.identity]
    with training_runs.owning(context.home, identities) as journals:
        for journal in journals:
            journal.dataset(context.config.name, dataset.fingerprint, dataset.folder)
        outcomes = fit_many(
            specs, context.config.cluster, workers=workers, log=ray_log(context.home)
        )
        models = [
            training_runs.model("classifier", outcome, identity)
            for outcome, identity in zip(outcomes, identities, strict=True)
        ]
        for journal, made in zip(journals, models, strict=True):
            text = training_runs.readings(made.metrics)
            journal.close("FINISHED", made.reason, f"{made.images:,} images: {text}.")
    return Classifiers(judge=models[0], selector=models[1])


def _describe(made: Classifiers) -> str:
    judge, selector = (m.metrics.get("accuracy", float("nan")) for m in (made.judge, made.selector))
    return (
        f"Of the validation images the judge gets {judge:.1%} right, the selector {selector:.1%}."
    )
