"""One run under way: what it is made of, and what is done at each moment."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlib.config import GanConfig, fingerprint
from ganlib.data import Images, StoredImages, open_images, open_set
from ganlib.determinism import Replicas
from ganlib.errors import ConfigError, Diverged
from ganlib.models import load_model
from ganlib.storage import open_store, write_json
from ganlib.training import precision
from ganlib.training.classifier_task import ClassifierTask
from ganlib.training.gan_task import GanTask
from ganlib.training.journal import Tracker
from ganlib.training.loop import Moment, Plan, Task, run
from ganlib.training.snapshots import ELASTIC, Snapshots
from ganlib.training.spec import ClassifierProblem, GanProblem, Outcome, Reason, RunSpec
from ganlib.training.stops import Reading, stalled
from ganlib.training.watch import ClassifierWatch, GanWatch, Watch

PLAY = ("win_rate", "slope_generator")


@dataclass
class Session:
    """`series` are the readings so far, `play` how the players stood beside each of them.

    With the task's state they are all that a run remembers; `window` is the last report's.
    """

    spec: RunSpec
    replicas: Replicas
    task: Task
    plan: Plan
    watch: Watch
    tracker: Tracker
    train: Images | StoredImages
    snapshots: Snapshots
    belongs: dict[str, Any]
    fit: str
    arithmetic: precision.Arithmetic
    start: int = 0
    ended: Reason | None = None
    series: list[Reading] = field(default_factory=list)
    play: list[Reading] = field(default_factory=list)
    window: dict[str, float] = field(default_factory=dict)

    def moments(self) -> Iterator[Moment]:
        return run(self.task, self.train, self.plan, self.replicas, self.start)

    def report(self, clock: int, values: dict[str, float]) -> None:
        self.window = values
        self.tracker.metrics(clock, {f"train/{name}": value for name, value in values.items()})

    def evaluate(self, clock: int) -> dict[str, float]:
        """Every rank takes part. What is not finite is no reading and has no merit."""
        found = self.watch.read(self.replicas)
        readings = {name: value for name, value in found.items() if math.isfinite(value)}
        self.series.append((clock, readings))
        self.play.append((clock, {name: self.window[name] for name in PLAY if name in self.window}))
        told = stalled(self.play, self.series)
        if told and told != stalled(self.play[:-1], self.series[:-1]):
            self.tracker.note(f"{told} at {clock} images")
        if readings:
            self.tracker.metrics(clock, {f"eval/{name}": x for name, x in readings.items()})
        return readings

    def sample(self, clock: int) -> None:
        png = self.watch.picture() if self.replicas.rank == 0 else None
        if png is not None:
            self.tracker.image(clock, "samples", png)

    def save(self, clock: int, ended: Reason | None) -> None:
        """Raises Diverged rather than publish a state that is not finite."""
        state = self.task.state_dict()
        _check_finite(state, clock)
        if self.replicas.rank == 0:
            self.snapshots.save(
                clock,
                state,
                self.belongs,
                {"ended": ended, "series": list(self.series), "play": list(self.play)},
            )
        self.replicas.barrier()

    def agreed(self, reason: Reason, wanted: bool) -> Reason | None:
        """`reason` if rank 0 wants it, on every rank."""
        return reason if self.replicas.agree(int(wanted)) else None

    def finish(self, clock: int, ended: Reason) -> Outcome:
        """Look once more if need be, keep the last state, export, and publish the outcome last."""
        early = ended not in (None, "budget") and self.ended is None
        if early and (not self.series or self.series[-1][0] != clock):
            self.evaluate(clock)
        if early:
            self.sample(clock)
            self.save(clock, ended)
        folder = Path(self.spec.run_folder)
        outcome = Outcome(
            clock=clock,
            reason=ended,
            verdict=stalled(self.play, self.series),
            readings=self.series[-1][1] if self.series else {},
            model=str(folder / "model"),
            series=tuple(self.series),
        )
        if self.replicas.rank == 0:
            _export(self.task, folder, outcome, self.belongs, self.fit)
        self.replicas.barrier()
        return outcome


def begin(spec: RunSpec, replicas: Replicas, device: torch.device, tracker: Tracker) -> Session:
    """A session at its newest whole snapshot, or at the start."""
    dataset = open_set(spec.dataset_folder, spec.dataset_fingerprint, spec.reading)
    train = open_images(dataset, "train", spec.reading, device)
    config = spec.config
    slopes = isinstance(config, GanConfig) and bool(config.penalties.names())
    arithmetic = precision.resolve(config.precision, device, dataset.size, slopes=slopes)
    made: dict[str, Any] = {
        "size": dataset.size,
        "channels": dataset.channels,
        "classes": dataset.classes,
        "arithmetic": arithmetic,
        "replicas": replicas,
        "device": device,
    }
    task: GanTask | ClassifierTask
    watch: Watch
    match spec.problem:
        case GanProblem(config=gan):
            task = GanTask(gan, **made)
            selector = load_model(Path(spec.selector)) if spec.selector else None
            held_out = dataset.load("validation")
            watch = GanWatch(task, held_out, train, selector, spec.evaluation)
            draws = gan.discriminator.steps
        case ClassifierProblem(config=classifier):
            count_K = torch.bincount(train.label_N, minlength=len(dataset.classes))
            task = ClassifierTask(classifier, **made, count_K=count_K)
            watch = ClassifierWatch(task, dataset.load("validation"))
            draws = 1
    session = Session(
        spec=spec,
        replicas=replicas,
        task=task,
        plan=Plan(config.budget.images, config.batch_size, config.cadence, config.seed, draws),
        watch=watch,
        tracker=tracker,
        train=train,
        snapshots=Snapshots(
            open_store(str(Path(spec.run_folder) / "snapshots")), config.cadence.keep_snapshots
        ),
        belongs=belongs_to(spec)
        | {"precision": arithmetic.name, "device": device.type, "compiled": task.passes.facts},
        fit=dataset.fit,
        arithmetic=arithmetic,
    )
    if replicas.rank == 0:
        session.snapshots.store.tidy()
    if task.passes.reason:
        session.tracker.note(f"not compiled by {config.compile}: {task.passes.reason}")
    if not _resume(session) and spec.init_from:
        _start_from(task, Path(spec.init_from), spec.kind)
    return session


def belongs_to(spec: RunSpec) -> dict[str, Any]:
    """What a run's numbers depend on, and the number of workers."""
    return {
        "kind": spec.kind,
        "config": spec.config.model_dump(mode="json"),
        "dataset": spec.dataset_fingerprint,
        "evaluation": spec.evaluation.model_dump(mode="json"),
        "threads": spec.threads,
        "workers": spec.workers,
    }


def identity(belongs: dict[str, Any]) -> str:
    """Equal for runs that would end with the same weights, up to rounding."""
    return fingerprint({key: value for key, value in belongs.items() if key not in ELASTIC})


def _resume(session: Session) -> bool:
    """Whether there was a snapshot to go on from; rank 0's choice counts for all."""
    replicas = session.replicas
    found = session.snapshots.latest(session.belongs, session.tracker.note)
    clock = replicas.agree(-1 if found is None else found.clock)
    if clock < 0:
        return False
    if found is None or found.clock != clock:
        found = session.snapshots.read(clock)
    session.task.load_state_dict(found.state)
    session.start = clock
    session.ended = found.notes["ended"]
    session.series = [(int(at), dict(readings)) for at, readings in found.notes["series"]]
    session.play = [(int(at), dict(readings)) for at, readings in found.notes.get("play", [])]
    session.tracker.note(f"resumed at {clock} images")
    return True


def _start_from(task: GanTask | ClassifierTask, folder: Path, kind: str) -> None:
    model = load_model(folder)
    wanted = "generator" if kind == "gan" else "classifier"
    if model.kind != wanted:
        raise ConfigError(f"init_from is a {model.kind}, not a {wanted}", where="init_from")
    try:
        task.start_from(model.module)
    except RuntimeError as error:
        raise ConfigError(
            f"init_from has another shape: {str(error).splitlines()[-1].strip()}",
            where="init_from",
            hint="give the network the settings of the model it starts from",
        ) from None


def _check_finite(state: dict[str, Tensor], clock: int) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise Diverged(clock, name)


def _export(task: Task, folder: Path, outcome: Outcome, belongs: dict[str, Any], fit: str) -> None:
    part = folder / "model.part"
    shutil.rmtree(part, ignore_errors=True)
    meta = {
        "clock": outcome.clock,
        "reason": outcome.reason,
        "readings": outcome.readings,
        "belongs": belongs,
        "fit": fit,
    }
    task.export(part, meta)
    shutil.rmtree(folder / "model", ignore_errors=True)
    os.replace(part, folder / "model")
    told = outcome.model_dump(mode="json")
    write_json(folder / "outcome.json", {"fingerprint": identity(belongs), "outcome": told})
