"""What a home remembers of how a model came about: records, journals, pictures, snapshots."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlib.errors import Damaged
from ganlib.stages import pipelines, records
from ganlib.stages.records import Record
from ganlib.stages.values import DatasetRef, JudgeRef, ModelRef
from ganlib.storage import Home, read_json
from ganlib.training import read_journal

MOST_FRAMES = 8


@dataclass(frozen=True)
class Origins:
    """The records of the stages a generator went through; none for what is not in this home."""

    prepare: Record | None = None
    classifiers: Record | None = None
    sweep: Record | None = None
    gan: Record | None = None

    def known(self) -> list[Record]:
        found = (self.prepare, self.classifiers, self.sweep, self.gan)
        return [record for record in found if record is not None]


def origins(home: Home, dataset: DatasetRef, judge: JudgeRef, model: ModelRef) -> Origins:
    """By what the records hold, so it does not matter which run made them; the newest of each."""
    found = sorted(_everything(home), key=lambda record: record.finished)

    def last(stage: str, *path: str, value: Any) -> Record | None:
        fits = [r for r in found if r.stage == stage and _inside(r.result, path) == value]
        return fits[-1] if fits else None

    gan = last("gan", "model", "fingerprint", value=model.fingerprint)
    return Origins(
        prepare=last("prepare", "fingerprint", value=dataset.fingerprint),
        classifiers=last("classifiers", "judge", "fingerprint", value=judge.fingerprint),
        sweep=_swept(found, gan) if gan is not None else None,
        gan=gan,
    )


def trained(home: Home, fingerprint: str) -> Record | None:
    """The newest record of a GAN's training that made the generator of that fingerprint."""
    found = [
        record
        for record in _everything(home)
        if record.stage == "gan" and _inside(record.result, ("model", "fingerprint")) == fingerprint
    ]
    return max(found, key=lambda record: record.finished, default=None)


def _swept(found: Sequence[Record], gan: Record) -> Record | None:
    """The sweep whose winner the run was given, in the features of the same selector."""
    fits = [
        record
        for record in found
        if record.stage == "sweep"
        and record.finished <= gan.finished
        and record.result.get("target") == "gan"
        and record.result.get("trials")
        and record.result.get("overlay") == gan.result.get("overlay")
        and record.values.get("selector") == gan.values.get("selector")
        and record.values.get("dataset") == gan.values.get("dataset")
    ]
    return fits[-1] if fits else None


def _everything(home: Home) -> Iterator[Record]:
    for path in home.stages.glob("*/record.json"):
        try:
            record = records.read(home, path.parent.name)
        except Damaged:
            continue
        if record is not None:
            yield record


def _inside(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


@dataclass(frozen=True)
class Training:
    """How a run went, from its outcome and its journal; empty where neither is here any more.

    `play` is the discriminator's share of pairs told apart, `speed` the median in images a second,
    `frames` clock and PNG of the pictures of one noise, `tags` those of the run and of any rescue.
    """

    series: tuple[tuple[int, dict[str, float]], ...] = ()
    play: tuple[tuple[int, float], ...] = ()
    frames: tuple[tuple[int, Path], ...] = ()
    notes: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    speed: float | None = None
    parent: str = ""


def training(home: Home, model: ModelRef) -> Training:
    """Never raises for what is gone or damaged: a report tells what is left."""
    folder, spool = Path(model.folder).parent, home.spool
    series = _series(folder / "outcome.json")
    read: dict[int, dict[str, float]] = {}
    play: dict[int, float] = {}
    frames: dict[int, Path] = {}
    notes: list[str] = []
    tags: dict[str, str] = {}
    speeds: list[float] = []
    attempts = 0
    for line in read_journal(pipelines.journal_path(home, model.run)):
        match line["kind"]:
            case "open":
                attempts = max(attempts, int(line["attempt"]))
            case "metrics":
                clock, values = int(line["clock"]), line["values"]
                found = {k[5:]: x for k, x in values.items() if k.startswith("eval/")}
                read[clock] = read.get(clock, {}) | found
                if "train/win_rate" in values:
                    play[clock] = float(values["train/win_rate"])
                if "train/images_per_second" in values:
                    speeds.append(float(values["train/images_per_second"]))
            case "image" if line["name"] == "samples" and (spool / line["path"]).exists():
                frames[int(line["clock"])] = spool / line["path"]
            case "note":
                notes.append(str(line["text"]))
            case "tags":
                tags |= {str(k): str(v) for k, v in line["values"].items()}
            case _:
                pass
    return Training(
        series=series or tuple((clock, read[clock]) for clock in sorted(read) if read[clock]),
        play=tuple(sorted(play.items())),
        frames=_some(sorted(frames.items())),
        notes=tuple(notes),
        tags=tags,
        attempts=attempts,
        speed=statistics.median(speeds) if speeds else None,
        parent=_parent(folder / "snapshots"),
    )


def _series(path: Path) -> tuple[tuple[int, dict[str, float]], ...]:
    try:
        told = read_json(path)["outcome"]["series"]
        return tuple((int(clock), dict(readings)) for clock, readings in told if readings)
    except (OSError, Damaged, KeyError, TypeError, ValueError):
        return ()


def _some(frames: list[tuple[int, Path]]) -> tuple[tuple[int, Path], ...]:
    """At most MOST_FRAMES, the first and the last among them."""
    if len(frames) <= MOST_FRAMES:
        return tuple(frames)
    last = len(frames) - 1
    return tuple(frames[round(place * last / (MOST_FRAMES - 1))] for place in range(MOST_FRAMES))


def _parent(folder: Path) -> str:
    """The newest snapshot and the one it followed."""
    try:
        newest = max(folder.glob("*/meta.json"))
        before = read_json(newest).get("parent")
    except (OSError, Damaged, ValueError, AttributeError):
        return ""
    name = f"snapshot {newest.parent.name.lstrip('0') or '0'}"
    return f"{name}, after {str(before).lstrip('0') or '0'}" if before is not None else name
