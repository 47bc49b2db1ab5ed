"""How long and how much memory, before the first long stage: a few real steps, timed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config import ClassifierConfig, GanConfig, PipelineConfig
from ganlib.stages import classifiers, gan, judges
from ganlib.stages.values import DatasetRef, Forecast, NetworkRef, StageForecast
from ganlib.stages.why import done, order
from ganlib.storage import Home

if TYPE_CHECKING:
    from ganlib.training.loop import Task

# Measured on two CPU cores; they only weigh where a run is short.
RAY_START_S = 8.0
FIT_START_S = 12.0
TRIAL_START_S = 2.0
EVALUATE_START_S = 3.0
PROMOTE_S = 5.0
PROCESS_MB = 700
RAY_MB = 1000
MEASURE_S = 0.4
SWEEP_SHARE = 0.7  # of the trials' images, as some are stopped early
BUSY = 0.75  # of its speed alone a process keeps when every core is at work
SYNCED = 0.55  # of that when it sums gradients and batch statistics with others over gloo


def forecast(
    home: Home,
    config: PipelineConfig,
    dataset: DatasetRef,
    *,
    fresh: bool = False,
    until: str = "promote",
    sweeping: bool = True,
) -> Forecast:
    """Of the stages up to `until`; what is done already counts nothing, unless `fresh`.

    With all done nothing is measured, and torch not loaded. Steps are timed by the processor's time
    they take, so what else is running now makes no hours of minutes: it is a forecast for this
    machine with nothing else to do, and a cluster will do better.
    """
    made, first = done(home, config, sweeping=sweeping)
    stages = order(config, sweeping=sweeping)
    if until in stages:
        stages = stages[: stages.index(until) + 1]
    if first in stages and not fresh:
        stages = stages[stages.index(first) :]
    left = tuple(stage for stage in stages if stage != "prepare")
    if not left or not (fresh or first in stages):
        return Forecast(stages=(), seconds=0, megabytes=0, basis="all is done already")
    speeds = _Speeds(config, dataset, made)
    each = tuple(
        StageForecast(stage=stage, seconds=round(seconds, 1), basis=basis)
        for stage in left
        for seconds, basis in [_stage(stage, config, dataset, speeds)]
    )
    total = sum(stage.seconds for stage in each)
    total += RAY_START_S if {"classifiers", "sweep", "gan"} & set(left) else 0.0
    total += PROMOTE_S if until == "promote" else 0.0
    return Forecast(
        stages=each,
        seconds=round(total, 1),
        megabytes=_megabytes(config, dataset),
        basis=f"an estimate: steps timed here, {_cores()} cores otherwise idle, all images shown",
    )


def _stage(
    stage: str, config: PipelineConfig, dataset: DatasetRef, speeds: _Speeds
) -> tuple[float, str]:
    cluster, cores = config.cluster, _cores()
    match stage:
        case "classifiers":
            workers = 2 * cluster.classifier_workers
            images = 2 * config.classifier.budget.images
            rate = speeds.classifier * _together(workers, cores)
            if cluster.classifier_workers > 1:
                rate *= SYNCED
            return FIT_START_S + images / rate, f"{images:,} images at {rate:,.0f}/s"
        case "sweep":
            if config.sweep.trials == 1 or not config.sweep.space:
                return 0.0, "nothing to choose from"
            one = speeds.gan if config.sweep.target == "gan" else speeds.classifier
            rate = one * _together(config.sweep.concurrent, cores)
            images = round(SWEEP_SHARE * config.sweep.trials * config.sweep.images)
            starts = TRIAL_START_S * config.sweep.trials
            return starts + images / rate, f"about {images:,} images at {rate:,.0f}/s"
        case "gan":
            images, rate = config.gan.budget.images, speeds.gan * _together(cluster.workers, cores)
            if cluster.workers > 1:
                rate *= SYNCED
            return FIT_START_S + images / rate, f"{images:,} images at {rate:,.0f}/s"
        case _:
            count = config.evaluation.samples or dataset.counts.get("test", 0)
            images = count * config.evaluation.repeats + dataset.counts.get("train", 0)
            seconds = images / (4 * speeds.gan)  # a forward pass beside a whole step
            if speeds.gate is not None:  # a large network, and the real images and floors as well
                images += 2 * count
                seconds += images / (speeds.gate * _together(cores, cores))
            told = f"{images:,} images looked at"
            if (teaching := config.evaluation.teaching) is not None:
                shown = teaching.shown or config.classifier.budget.images
                shown *= 2 * teaching.classifiers  # by generated images and by real ones
                seconds += shown / speeds.classifier
                told += f", {shown:,} shown to taught classifiers"
            return EVALUATE_START_S + seconds, told


def _together(processes: int, cores: int) -> float:
    """How many times as fast as one alone."""
    return 1.0 if min(processes, cores) == 1 else BUSY * min(processes, cores)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _megabytes(config: PipelineConfig, dataset: DatasetRef) -> int:
    """Each process holds the images as bytes; Ray itself takes about a gigabyte."""
    images = sum(dataset.counts.values()) * dataset.size**2 * dataset.channels / 1e6
    training = 2 * config.cluster.classifier_workers if config.judging.kind == "classifiers" else 0
    workers = max(training, config.cluster.workers, config.sweep.concurrent)
    return round(RAY_MB + (workers + 1) * (PROCESS_MB + images))


class _Speeds:
    """Images per second of a worker with a core for each thread, measured when first asked for."""

    def __init__(self, config: PipelineConfig, dataset: DatasetRef, made: dict[str, Any]) -> None:
        self._config, self._dataset, self._best = config, dataset, made.get("sweep")
        self._known: dict[str, float] = {}

    @property
    def gan(self) -> float:
        return self._speed("gan", gan.settings(self._config, self._best))

    @property
    def classifier(self) -> float:
        return self._speed("classifier", classifiers.settings(self._config, self._best))

    @property
    def gate(self) -> float | None:
        """Of the network that judges; none where it is a classifier, which takes no time."""
        chosen = judges.networks(self._config)
        if chosen is None:
            return None
        if "gate" not in self._known:
            self._known["gate"] = _look(chosen.judge, self._dataset)
        return self._known["gate"]

    def _speed(self, name: str, settings: GanConfig | ClassifierConfig) -> float:
        if name not in self._known:
            self._known[name] = _measure(settings, self._dataset, self._config.cluster.threads)
        return self._known[name]


def _measure(settings: GanConfig | ClassifierConfig, dataset: DatasetRef, threads: int) -> float:
    """Steps on one batch of the real images, the first one not counted."""
    import torch

    from ganlib.data import Dataset
    from ganlib.determinism import Replicas
    from ganlib.training.loop import Batch

    data = Dataset.open(Path(dataset.folder), dataset.fingerprint).load("validation")
    draws = settings.discriminator.steps if isinstance(settings, GanConfig) else 1
    row_N = torch.arange(settings.batch_size * draws) % len(data)
    batch = Batch(data.image_NHWC[row_N], data.label_N[row_N])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        task = _task(settings, dataset)
        task.step(batch, 0, Replicas())
        steps, begun = 0, time.process_time()
        while steps < 2 or time.process_time() - begun < MEASURE_S:
            task.step(batch, 0, Replicas())
            steps += 1
        return steps * len(row_N) * threads / (time.process_time() - begun)
    finally:
        torch.set_num_threads(before)


def _look(judge: NetworkRef, dataset: DatasetRef) -> float:
    """Images per second of one thread, the first images not counted."""
    import torch

    from ganlib.data import Dataset
    from ganlib.training.memory import keep_freed

    keep_freed()
    data = Dataset.open(Path(dataset.folder), dataset.fingerprint).load("validation")
    extractor = judges.extractor(judge, dataset.channels, "cpu")
    few_NHWC = data.image_NHWC[:16]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        extractor(few_NHWC)
        seen, begun = 0, time.process_time()
        while seen == 0 or time.process_time() - begun < MEASURE_S:
            extractor(few_NHWC)
            seen += len(few_NHWC)
        return seen / (time.process_time() - begun)
    finally:
        torch.set_num_threads(before)


def _task(settings: GanConfig | ClassifierConfig, dataset: DatasetRef) -> Task:
    import torch

    from ganlib.determinism import Replicas
    from ganlib.training import precision
    from ganlib.training.classifier_task import ClassifierTask
    from ganlib.training.gan_task import GanTask

    device = torch.device("cpu")
    settings = settings.model_copy(update={"compile": "none"})  # which would take minutes
    made: dict[str, Any] = {
        "size": dataset.size,
        "channels": dataset.channels,
        "classes": dataset.classes,
        "arithmetic": precision.resolve(settings.precision, device, dataset.size),
        "replicas": Replicas(),
        "device": device,
    }
    if isinstance(settings, GanConfig):
        return GanTask(settings, **made)
    # Weights change no speed, and the images are not counted for them here.
    return ClassifierTask(settings, **made, count_K=torch.ones(len(dataset.classes)))
