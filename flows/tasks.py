"""One task per stage: one call into `ganlib.api` each, and no logic; an evaluation is shown."""

from __future__ import annotations

from flows import publish
from flows.policy import stage_task
from ganlib import api
from ganlib.config import Config, PipelineConfig
from ganlib.stages.values import (
    Best,
    Candidate,
    Classifiers,
    DatasetRef,
    Decision,
    EvaluationResult,
    Judges,
    StageResult,
)


class Place(Config):
    """Where a task works and for which run: the keyword arguments all of `ganlib.api` shares."""

    home: str
    fresh: bool
    pipeline: str
    flow_run_id: str | None


@stage_task("prepare")
def prepare(place: Place, config: PipelineConfig) -> StageResult[DatasetRef]:
    return api.prepare(config, **dict(place))


@stage_task("classifiers")
def classifiers(
    place: Place, config: PipelineConfig, dataset: DatasetRef, best: Best | None
) -> StageResult[Classifiers]:
    return api.train_classifiers(config, dataset, best, **dict(place))


@stage_task("sweep")
def sweep(
    place: Place, config: PipelineConfig, dataset: DatasetRef, judges: Judges | None
) -> StageResult[Best]:
    return api.sweep(config, dataset, judges, **dict(place))


@stage_task("gan")
def gan(
    place: Place,
    config: PipelineConfig,
    dataset: DatasetRef,
    judges: Judges,
    best: Best | None,
    origin: str = "",
) -> StageResult[Candidate]:
    return api.train_gan(config, dataset, judges, best, origin=origin, **dict(place))


@stage_task("evaluate")
def evaluate(
    place: Place,
    config: PipelineConfig,
    dataset: DatasetRef,
    judges: Judges,
    candidate: Candidate,
) -> StageResult[EvaluationResult]:
    done = api.evaluate(config, dataset, judges, candidate, **dict(place))
    publish.evaluation(config, place.home, done)
    return done


@stage_task("promote")
def promote(
    place: Place,
    config: PipelineConfig,
    candidate: Candidate,
    evaluation: EvaluationResult,
    judges: Judges,
) -> StageResult[Decision]:
    return api.promote(config, candidate, evaluation, judges, **dict(place))
