"""The chain of stages as far as a flow wants it, under one pipeline run with a true end."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from flows import publish, remains, tasks
from flows.schedules import Start
from ganlib import api, signals
from ganlib.config import Config, PipelineConfig, overlay
from ganlib.errors import Collapsed, ConfigError, Diverged, GanlibError
from ganlib.stages.durations import duration
from ganlib.stages.values import (
    Best,
    Candidate,
    DatasetRef,
    Decision,
    EvaluationResult,
    Forecast,
    Judges,
    StageResult,
    Value,
)
from ganlib.storage import Home

logger = logging.getLogger("ganlib.flows")

Stage = Literal["prepare", "classifiers", "sweep", "gan", "evaluate", "promote"]
V = TypeVar("V", bound=Value)


class StageReport(Config):
    """`seconds` is what the work took when it was done, `took` what it took this time."""

    stage: str
    key: str
    run: str
    reused: bool
    seconds: float
    took: float


class PipelineResult(Config):
    """What a flow hands back: the values of the stages it came through, as far as it went."""

    pipeline: str
    home: str
    name: str
    stages: tuple[StageReport, ...] = ()
    forecast: Forecast | None = None
    dataset: DatasetRef | None = None
    judges: Judges | None = None
    best: Best | None = None
    candidate: Candidate | None = None
    evaluation: EvaluationResult | None = None
    decision: Decision | None = None
    forecasting: float = Field(default=0.0, ge=0, description="seconds the forecast took")
    seconds: float = Field(default=0.0, ge=0)

    @property
    def verdict(self) -> str:
        return self.decision.verdict if self.decision else "done"

    @property
    def promoted(self) -> bool:
        return self.decision is None or self.decision.promoted


class _Progress:
    """The result as it grows."""

    def __init__(self, pipeline: str, home: str, config: PipelineConfig) -> None:
        self.values: dict[str, Any] = {"pipeline": pipeline, "home": home, "name": config.name}
        self.stages: list[StageReport] = []
        self.begun = time.monotonic()

    def run(self, call: Callable[[], StageResult[V]]) -> V:
        before = time.monotonic()
        done = call()
        report = StageReport(
            stage=done.stage,
            key=done.key,
            run=done.run,
            reused=done.reused,
            seconds=done.seconds,
            took=time.monotonic() - before,
        )
        self.stages.append(report)
        return done.value

    def result(self) -> PipelineResult:
        seconds = time.monotonic() - self.begun
        return PipelineResult(**self.values, stages=tuple(self.stages), seconds=seconds)


def run(
    config: PipelineConfig,
    home: str,
    fresh: bool,
    until: Stage,
    *,
    command: str,
    flow_run_id: str | None,
    sweeping: bool = True,
    origin: str = "",
    seed: int | None = None,
    start: Start = "nothing",
) -> PipelineResult:
    """All stages up to `until`; finished ones answer from their records.

    Wrong values are refused before anything starts, whoever started the flow. The first call
    continues the run that the same command left unfinished. Without `sweeping` the configuration's
    own settings are trained. `origin` is the snapshot, `RUN@CLOCK`, that the GAN goes on from.
    `seed` is another one for the GAN, after a sweep with the configuration's own. With `start` the
    GAN goes on from the champion where there are new images, or a seed; then nothing is swept.
    """
    place = str(Home.locate(home or None))
    with signals.careful(), remains.noted(Path(place), flow_run_id), api.session(place):
        pipeline = api.begin(
            config, command=command, home=place, fresh=fresh, flow_run_id=flow_run_id
        )
        progress = _Progress(pipeline, place, config)
        where = tasks.Place(home=place, fresh=fresh, pipeline=pipeline, flow_run_id=flow_run_id)
        with _true_end(pipeline, place, config):
            api.check(config, home=place, fresh=fresh, until=until)
            if origin:
                api.check_snapshot(config, origin, home=place)
            _stages(progress, where, config, until, sweeping, origin, seed, start)
        result = progress.result()
        api.finish(pipeline, home=place, verdict=result.verdict, description=_sentence(result))
    publish.result(config, result)
    _mirror(place)
    return result


def _mirror(home: str) -> None:
    """A bucket that does not answer is no reason for a finished run to fail."""
    if os.environ.get("GANLIB_MIRROR"):
        try:
            told = api.push(home=home)
            logger.info("%d files are in %s", told.files + told.kept, told.uri)
        except (GanlibError, OSError) as error:
            logger.warning("not mirrored: %s", error)


def _stages(
    progress: _Progress,
    place: tasks.Place,
    config: PipelineConfig,
    until: Stage,
    sweeping: bool,
    origin: str,
    seed: int | None,
    start: Start,
) -> None:
    values, step = progress.values, progress.run
    sweeps_judge = config.sweep.target == "classifier"
    judges: Judges | None = None
    best: Best | None = None

    dataset = values["dataset"] = step(lambda: tasks.prepare(place, config))
    if until == "prepare":
        return
    api.ready(config, dataset, home=place.home, until=until)
    if start == "champion":
        again = seed is not None
        if begin := api.champion_start(config, dataset, always=again, home=place.home):
            config, origin, sweeping = begin.config, begin.origin, False
            logger.info("the GAN goes on from the champion, %s", origin)
    before = time.monotonic()
    values["forecast"] = _foretell(config, dataset, place, until, sweeping)
    values["forecasting"] = time.monotonic() - before
    if sweeping and sweeps_judge:
        best = values["best"] = step(lambda: tasks.sweep(place, config, dataset, None))
        if until == "sweep":
            return
    tuned = best
    judges = values["judges"] = api.networks(config) or step(
        lambda: tasks.classifiers(place, config, dataset, tuned)
    )
    if until == "classifiers":
        return
    if sweeping and not sweeps_judge:
        best = values["best"] = step(lambda: tasks.sweep(place, config, dataset, judges))
        if until == "sweep":
            return
    winner = None if sweeps_judge else best
    if seed is not None:
        config = overlay(config, {"gan.seed": seed})
    candidate = values["candidate"] = step(
        lambda: tasks.gan(place, config, dataset, judges, winner, origin)
    )
    if until == "gan":
        return
    evaluation = values["evaluation"] = step(
        lambda: tasks.evaluate(place, config, dataset, judges, candidate)
    )
    if until == "evaluate":
        return
    values["decision"] = step(lambda: tasks.promote(place, config, candidate, evaluation, judges))


def _foretell(
    config: PipelineConfig, dataset: DatasetRef, place: tasks.Place, until: Stage, sweeping: bool
) -> Forecast | None:
    """An estimate that cannot be made stops nothing, unless training could not be either.

    Of a cluster elsewhere this machine can tell nothing.
    """
    if api.elsewhere():
        return None
    try:
        forecast = api.forecast(
            config, dataset, home=place.home, fresh=place.fresh, until=until, sweeping=sweeping
        )
    except ConfigError:
        raise
    except Exception as error:
        logger.warning("no forecast: %s", error)
        return None
    if forecast.seconds >= 1:
        parts = ", ".join(f"{s.stage} {duration(s.seconds)}" for s in forecast.stages if s.seconds)
        logger.info(
            "forecast: about %s (%s) and %d MB at the peak; %s",
            duration(forecast.seconds),
            parts,
            forecast.megabytes,
            forecast.basis,
        )
    return forecast


def _sentence(result: PipelineResult) -> str:
    if result.decision is None:
        last = result.stages[-1].stage
        return f"{result.name}: done up to {last}."
    reasons = "; ".join(result.decision.reasons)
    told = f"{result.name}: {result.verdict.replace('_', ' ')}"
    return f"{told}: {reasons}" if reasons else told


@contextmanager
def _true_end(pipeline: str, home: str, config: PipelineConfig) -> Iterator[None]:
    """A run that fails says so, and one that is interrupted is open to be continued."""
    begun = time.time()
    try:
        yield
    except Diverged as error:
        _end(pipeline, home, "FAILED", "diverged", error.message)
        publish.diverged(config, pipeline, error)
        raise
    except Collapsed as error:
        _end(pipeline, home, "FAILED", "collapsed", error.message)
        publish.collapsed(config, pipeline, error)
        if url := publish.mlflow_url(home, pipeline):
            error.add_note(f"Pictures and readings: {url}")
        raise
    except Exception as error:
        text = error.message if isinstance(error, GanlibError) else f"{error!r}"
        _end(pipeline, home, "FAILED", "failed", text)
        raise
    except BaseException:
        _end(pipeline, home, "KILLED", "interrupted", "Interrupted; the same command continues it.")
        stopped = api.releases(pipeline, home=home)
        publish.releases(config, [one for one in stopped if one.free >= begun])
        raise


def _end(
    pipeline: str, home: str, status: Literal["FAILED", "KILLED"], verdict: str, text: str
) -> None:
    """A disk that is full must not hide why the run failed."""
    try:
        api.finish(pipeline, home=home, status=status, verdict=verdict, description=text)
    except GanlibError as error:
        logger.error("%s could not be closed: %s", pipeline, error)
