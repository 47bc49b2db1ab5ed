"""What it costs to watch a GAN for collapse, as a share of the time it trains."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ganlib.bench.scarce import CPU, FAR
from ganlib.config import Cadence, PipelineConfig, load_recipe, overlay
from ganlib.data import Dataset, Images, prepare
from ganlib.determinism import Replicas
from ganlib.training import RunSpec, precision
from ganlib.training.execute import execute
from ganlib.training.gan_task import GanTask
from ganlib.training.guard import Guard
from ganlib.training.loop import Plan, Report, run

TARGET = 0.01


@dataclass
class _Side:
    """One of two equal runs, a stretch at a time; `guard` is what one of them has more."""

    task: GanTask
    train: Images
    every: int
    guard: Guard | None = None
    clock: int = 0
    seconds: list[float] = field(default_factory=list)
    reading: list[float] = field(default_factory=list)

    def stretch(self) -> None:
        """Train from one reading to the next, and read: processor seconds of both."""
        config, begun, read = self.task.config, time.process_time(), 0.0
        cadence = Cadence(report=self.every, evaluate=FAR, sample=FAR, snapshot=FAR)
        turn = config.batch_size * config.discriminator.steps
        until = self.clock + -(-self.every // turn) * turn
        plan = Plan(until, config.batch_size, cadence, config.seed, config.discriminator.steps)
        for moment in run(self.task, self.train, plan, Replicas(), start=self.clock):
            if isinstance(moment, Report) and moment.clock == until and self.guard is not None:
                since = time.process_time()
                self.guard.read(until, moment.values, Replicas(), last=True)
                assert self.guard.verdict
                read += time.process_time() - since
        self.clock = until
        self.seconds.append(time.process_time() - begun)
        self.reading.append(read)


def bench_watch(
    recipe: str = "mnist",
    *,
    rounds: int = 3,
    every: int | None = None,
    out: Path,
    search: tuple[Path, ...] = (),
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Two equal runs in one process and one thread, in turns: one is watched, one is not.

    `share` is the seconds of readings over those of the training around them, the median of the
    rounds, and `difference` what the watched run took longer than the other, which also knows what
    a reading leaves behind (cold caches, memory) and the noise of the machine. `first_s` is the
    first reading, which looks at the real images, once a run; it is in none of both. `passed` says
    that `share` is at most 1 % at the recipe's own cadence.
    """
    torch.set_num_threads(1)
    config = load_recipe(recipe)
    dataset = prepare(config.data, out / "data", search=search)
    usual = config.gan.collapse.every
    every = every or usual
    train, selector = dataset.load("train"), _selector(config, dataset, out / recipe)
    sides = [_Side(_task(config, dataset), train, every) for _ in range(2)]
    watched, alone = sides
    watched.guard = Guard(watched.task, train, selector, config.gan.collapse)
    for number in range(rounds + 1):  # the first one warms up
        for side in sides if number % 2 else reversed(sides):
            side.stretch()
        say(f"round {number} of {rounds}")
    pairs = list(zip(watched.seconds[1:], watched.reading[1:], alone.seconds[1:], strict=True))
    share = median(read / (whole - read) for whole, read, _ in pairs)
    return {
        "recipe": recipe,
        "every": every,
        "samples": config.gan.collapse.detector.samples,
        "rounds": rounds,
        "share": share,
        "difference": median(whole / other - 1 for whole, _, other in pairs),
        "differences": [whole / other - 1 for whole, _, other in pairs],
        "reading_s": median(read for _, read, _ in pairs),
        "first_s": watched.reading[0],
        "training_s": median(other for _, _, other in pairs),
        "target": TARGET,
        "passed": share <= TARGET if every == usual else None,
        "threads": 1,
        "load_average": os.getloadavg()[0],
    }


def _task(config: PipelineConfig, dataset: Dataset) -> GanTask:
    return GanTask(
        config.gan,
        size=dataset.size,
        channels=dataset.channels,
        classes=dataset.classes,
        arithmetic=precision.resolve(config.gan.precision, CPU, dataset.size),
        replicas=Replicas(),
        device=CPU,
    )


def _selector(config: PipelineConfig, dataset: Dataset, out: Path) -> str:
    """The recipe's own, hardly trained: what it costs does not depend on what it knows."""
    short = overlay(config.classifier, {"budget.images": 4 * config.classifier.batch_size})
    spec = RunSpec.of(
        short,
        dataset_folder=str(dataset.folder),
        dataset_fingerprint=dataset.fingerprint,
        run_folder=str((out / "selector").absolute()),
    )
    return execute(spec).model
