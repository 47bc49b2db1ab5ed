"""The one training loop: a generator over moments. Who consumes it reports, evaluates, saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ganlib.config import Cadence
from ganlib.data import Images, StoredImages
from ganlib.determinism import Replicas, due, whole_batches
from ganlib.errors import Diverged
from ganlib.training.feed import Batch as Batch
from ganlib.training.feed import feed


class Task(Protocol):
    """A learning problem: what it lists as its state survives a restart, and nothing else may."""

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> dict[str, Tensor]:
        """Learn from the images after `clock`; this rank's detached scalars, on the device."""

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...

    def export(self, folder: Path, meta: dict[str, Any]) -> None:
        """The model that people use, as a folder."""


@dataclass(frozen=True)
class Plan:
    """`batch` images over all ranks at a time, `draws` batches a step, until `images` are shown."""

    images: int
    batch: int
    cadence: Cadence
    seed: int
    draws: int = 1

    @property
    def turn(self) -> int:
        """Images of one step."""
        return self.batch * self.draws

    @property
    def total(self) -> int:
        return whole_batches(self.images, self.turn)


@dataclass(frozen=True)
class Report:
    """Means over the steps since the last report and over ranks."""

    clock: int
    values: dict[str, float]


@dataclass(frozen=True)
class Evaluate:
    clock: int


@dataclass(frozen=True)
class Sample:
    clock: int


@dataclass(frozen=True)
class Snapshot:
    clock: int


@dataclass(frozen=True)
class Done:
    """The budget of images is used up."""

    clock: int


Moment = Report | Evaluate | Sample | Snapshot | Done


def run(
    task: Task,
    images: Images | StoredImages,
    plan: Plan,
    replicas: Replicas,
    start: int = 0,
    leaving: Callable[[], bool] | None = None,
) -> Iterator[Moment]:
    """Train on `images`, where their labels lie, from clock `start`.

    At one clock: report, evaluate, sample, snapshot, and at last done. `leaving` is asked at each
    report, on all ranks and with one answer for them; when it is true a snapshot follows.

    There is a report before any other moment, so a snapshot leaves no half-made means behind;
    only a sample of what is not trained yet comes before the first step.
    Raises Diverged at the first moment after a scalar stopped being finite; until a moment nothing
    waits for the device.
    """
    tally = _Tally()
    clock = start
    clocks = range(start, plan.total, plan.turn)
    batches = feed(images, replicas, seed=plan.seed, batch=plan.batch, clocks=clocks)
    if clock == 0:
        yield Sample(0)
    for batch in batches:
        scalars = task.step(batch, clock, replicas)
        tally.add(scalars, clock)
        before, clock = clock, clock + plan.turn
        due_now = _due(plan, before, clock)
        if due_now:
            yield Report(clock, tally.finish(replicas))
            if leaving is not None and leaving() and Snapshot not in due_now:
                due_now.append(Snapshot)
        for kind in due_now[1:]:
            yield kind(clock)
    yield Done(clock)


def _due(plan: Plan, before: int, after: int) -> list[Any]:
    """The kinds of moments between two clocks, a report first; all of them at the end."""
    kinds: list[tuple[Any, int]] = [
        (Evaluate, plan.cadence.evaluate),
        (Sample, plan.cadence.sample),
        (Snapshot, plan.cadence.snapshot),
    ]
    last = after >= plan.total
    others = [k for k, every in kinds if last or _passed(plan, every, before, after)]
    return [Report, *others] if others or _passed(plan, plan.cadence.report, before, after) else []


def _passed(plan: Plan, every: int, before: int, after: int) -> bool:
    return due(whole_batches(every, plan.turn), before, after)


class _Tally:
    """Sums and first bad clocks of scalars, kept on the device."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.clocks: list[int] = []
        self.rows: list[Tensor] = []

    def add(self, scalars: dict[str, Tensor], clock: int) -> None:
        if not self.names:
            self.names = list(scalars)
        self.rows.append(torch.stack([scalars[name].to(torch.float64) for name in self.names]))
        self.clocks.append(clock)

    def finish(self, replicas: Replicas) -> dict[str, float]:
        """Means, and start anew; raises Diverged with the first bad clock, on all ranks."""
        table_SV = replicas.mean(torch.stack(self.rows))
        bad_SV = ~torch.isfinite(table_SV)
        if bool(bad_SV.any()):
            step, name = bad_SV.nonzero()[0].tolist()
            raise Diverged(self.clocks[step], self.names[name])
        means = table_SV.mean(dim=0).tolist()
        self.rows, self.clocks = [], []
        return dict(zip(self.names, means, strict=True))
