"""How a session begins: its parts from the spec, at its newest whole snapshot or at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, assert_never

import torch

from ganlib.data import Dataset, Images, StoredImages, open_images, open_set
from ganlib.determinism import Replicas
from ganlib.errors import ConfigError
from ganlib.models import load_model
from ganlib.storage import mirrored
from ganlib.training import evaluators, forensics, precision, rescue
from ganlib.training.beside import Beside
from ganlib.training.classifier_task import ClassifierTask
from ganlib.training.evaluators import Evaluator
from ganlib.training.gan_task import GanTask
from ganlib.training.growth import widened
from ganlib.training.guard import Guard
from ganlib.training.journal import Tracker
from ganlib.training.looking import Inside, Looking
from ganlib.training.loop import Plan
from ganlib.training.rescue import Attempt
from ganlib.training.session import Session, belongs_to
from ganlib.training.snapshots import Snapshot, Snapshots
from ganlib.training.spec import ClassifierProblem, GanProblem, Origin, RunSpec
from ganlib.training.watch import ClassifierWatch, GanWatch, selector_of


def begin(
    spec: RunSpec,
    replicas: Replicas,
    device: torch.device,
    tracker: Tracker,
    evaluator: Evaluator | None = None,
    attempts: Sequence[Attempt] = (),
) -> Session:
    """A session at its newest whole snapshot, or at the start; `attempts` are those of a rescue."""
    dataset = open_set(spec.dataset_folder, spec.dataset_fingerprint, spec.reading)
    train = open_images(dataset, "train", spec.reading, device)
    config = spec.config
    arithmetic = precision.of(config, device, dataset.size)
    made: dict[str, Any] = {
        "size": dataset.size,
        "channels": dataset.channels,
        "classes": dataset.classes,
        "arithmetic": arithmetic,
        "replicas": replicas,
        "device": device,
    }
    task: GanTask | ClassifierTask
    looking: Looking
    guard = None
    match spec.problem:
        case GanProblem(config=gan):
            task = GanTask(gan, **made)
            looking = _looking(spec, task, dataset, train, replicas, tracker, evaluator)
            guard = Guard(task, train, spec.selector, gan.collapse)
            draws = gan.discriminator.steps
        case ClassifierProblem(config=classifier):
            count_K = torch.bincount(train.label_N, minlength=len(dataset.classes))
            task = ClassifierTask(classifier, **made, count_K=count_K)
            looking = Inside(ClassifierWatch(task, dataset.load("validation")), replicas)
            draws = 1
    session = Session(
        spec=spec,
        replicas=replicas,
        task=task,
        plan=Plan(config.budget.images, config.batch_size, config.cadence, config.seed, draws),
        looking=looking,
        tracker=tracker,
        train=train,
        snapshots=Snapshots(
            mirrored(Path(spec.run_folder) / "snapshots"), config.cadence.keep_snapshots
        ),
        belongs=belongs_to(spec)
        | {"precision": arithmetic.name, "device": device.type, "compiled": task.passes.facts},
        fit=dataset.fit,
        arithmetic=arithmetic,
        guard=guard,
        attempts=attempts,
    )
    session.title_end(session.plan.total)
    if replicas.rank == 0:
        session.snapshots.store.tidy()
        if attempts:
            rescue.settle(session.snapshots, attempts[-1], session.belongs)
    replicas.barrier()
    if task.passes.reason:
        session.tracker.note(f"not compiled by {config.compile}: {task.passes.reason}")
    if guard is not None and guard.idle:
        session.tracker.note(guard.idle)
    if _resume(session):
        return session
    if spec.origin is not None:
        _go_on(session, spec.origin)
    elif spec.init_from:
        _start_from(task, Path(spec.init_from), spec.kind)
    return session


def _looking(
    spec: RunSpec,
    task: GanTask,
    dataset: Dataset,
    train: Images | StoredImages,
    replicas: Replicas,
    tracker: Tracker,
    evaluator: Evaluator | None,
) -> Looking:
    match task.config.evaluate:
        case "beside":
            if replicas.rank:
                evaluator = evaluators.Nobody("rank 0 alone asks")
            return Beside(
                spec=spec,
                average=task.average,
                device=str(task.device),
                replicas=replicas,
                evaluator=evaluator or evaluators.nearby(spec),
                note=tracker.note,
            )
        case "inside":
            selector = selector_of(spec.selector, dataset.channels, task.device)
            held_out = dataset.load("validation")
            watch = GanWatch(task.average, task.classes, held_out, train, selector, spec.evaluation)
            return Inside(watch, replicas)
        case _:
            assert_never(task.config.evaluate)


def _resume(session: Session) -> bool:
    """Whether there was a snapshot to go on from; rank 0's choice counts for all."""
    replicas = session.replicas
    found = session.snapshots.latest(session.belongs, session.tracker.note)
    clock = replicas.agree(-1 if found is None else found.clock)
    if clock < 0:
        return False
    if found is None or found.clock != clock:
        found = session.snapshots.read(clock)
    try:
        _take(session, found)
    except (RuntimeError, KeyError) as error:
        raise ConfigError(
            f"the snapshot at {clock} images in {session.snapshots.store.uri} holds other tensors "
            f"than this ganlib's networks: {_last_line(error)}",
            where="snapshot",
            hint="continue with the ganlib that made it, or start anew with --fresh",
        ) from None
    session.ended = found.notes["ended"]
    session.series = [(int(at), dict(readings)) for at, readings in found.notes["series"]]
    session.play = [(int(at), dict(readings)) for at, readings in found.notes.get("play", [])]
    pending = found.notes.get("pending", [])
    session.told = max((at for at, _ in session.series), default=-1)
    asked = [int(one["clock"]) for one in pending if one["what"] == "readings"]
    session.looked = max([session.told, *asked])
    session.looking.resume(pending, found.state)
    session.tracker.note(f"resumed at {clock} images")
    return True


def _go_on(session: Session, origin: Origin) -> None:
    """From another run's snapshot: a declared change of everything but shapes."""
    found = forensics.read(Path(origin.folder), origin.clock)
    fresh = {k: v for k, v in session.task.state_dict().items() if k not in found.state}
    started = {name: tensor for name, tensor in fresh.items() if name.startswith("sight.")}
    try:
        _take(session, replace(found, state=found.state | started))
    except (RuntimeError, KeyError) as error:
        raise ConfigError(
            f"the snapshot at {origin.clock} images in {origin.folder} has other shapes: "
            f"{_last_line(error)}",
            where="gan",
            hint="networks stay as they were",
        ) from None
    session.tracker.note(f"goes on from {origin.folder} at {origin.clock} images")


def _last_line(error: Exception) -> str:
    return str(error).splitlines()[-1].strip()


def _take(session: Session, found: Snapshot) -> None:
    """Weights, moments and what the guard has read; the discriminator may see more images now."""
    state = found.state
    if isinstance(session.task, GanTask) and (session.attempts or session.spec.origin):
        state = widened(state, session.task.discriminator)
    session.task.load_state_dict(state)
    session.start = found.clock
    if session.guard is not None:
        seen = found.notes.get("collapse", [])
        session.guard.resume(found.clock, [(int(at), dict(values)) for at, values in seen])


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
