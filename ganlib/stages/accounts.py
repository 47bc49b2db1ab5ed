"""What a report says in words: what was trained on what, how play went, what it cost."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config import PipelineConfig
from ganlib.stages import judges
from ganlib.stages.durations import duration
from ganlib.stages.origins import Origins, Training
from ganlib.stages.values import DatasetRef, JudgeRef, ModelRef

if TYPE_CHECKING:
    from ganlib.evaluation import Row
    from ganlib.evaluation.report import Table

Terms = tuple[tuple[str, str], ...]
# Notes of a run that tell of its health; what it says of its progress is left out.
TELLING = (
    "collapsed",
    "recovered",
    "stalled",
    "resumed",
    "damaged",
    "rescue",
    "rolled back",
    "skipped",
    "diverged",
)
RESCUE = ("ganlib.rescue", "ganlib.collapse")
TRIAL_COLUMNS = (
    "trial",
    "state",
    "images",
    "score",
    "scaled_distance",
    "recall",
    "seconds",
    "note",
)
# Of what real images reach; below it the page says so at its top.
NARROW = 0.5


def alarms(rows: Iterable[Row], model: ModelRef) -> Iterator[str]:
    """What nobody may overlook."""
    known = {row.metric: row for row in reversed(list(rows))}  # the judge's come first
    if model.verdict:
        yield f"Play {model.verdict}."
    present = known.get("classes_present")
    if present is not None and present.value is not None and present.floor is not None:
        missing = round(present.floor) - round(present.value)
        if not round(present.floor):
            yield "The judge finds none of the classes in real images: collapse cannot be told."
        elif missing > 0:
            yield f"Collapsed: {missing} of {present.floor:.0f} classes are hardly generated."
    empty = tuple(row.metric.partition("/")[2] for row in known.values() if _empty(row))
    if empty:
        yield f"A sample set holds no image of {_some(empty)}: its distance inside is infinite."
    covered = known.get("relative_coverage")
    if covered is not None and covered.value is not None and covered.value < NARROW:
        yield f"It covers {covered.value:.0%} of what as many real images cover."
    copied = known.get("copied_share")
    if (
        copied is not None
        and copied.low is not None
        and copied.floor is not None
        and copied.low > max(2 * copied.floor, 0.02)
    ):
        yield (
            f"{copied.value or 0:.1%} of the samples are as near to a training image as copies, "
            f"and {copied.floor:.1%} of real ones."
        )


def _empty(row: Row) -> bool:
    """A class's distance has an end between real images and none here."""
    inside = row.metric.startswith("intra_class_distance/")
    return inside and row.value is None and row.floor is not None


def trained(
    config: PipelineConfig,
    dataset: DatasetRef,
    judge: JudgeRef,
    model: ModelRef,
    belongs: Mapping[str, Any],
) -> Terms:
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts.items())
    told = [
        ("data", f"{dataset.size} x {dataset.size} x {dataset.channels}, {counts} images"),
        ("classes", _classes(dataset)),
        ("source", _source(config)),
        ("generator", _network(belongs, "generator")),
        ("discriminator", _network(belongs, "discriminator")),
        ("objective", _objective(belongs)),
        ("trained for", f"{model.images:,} images" if model.images else ""),
        ("on", _where(belongs)),
        ("judge", judges.told(judge)),
    ]
    return tuple((name, text) for name, text in told if text)


def _classes(dataset: DatasetRef) -> str:
    if not dataset.labelled:
        return "none: the images are unlabelled"
    return f"{len(dataset.classes)}: {_some(dataset.classes)}"


def _source(config: PipelineConfig) -> str:
    given = config.data.source.model_dump(mode="json")
    kind = given.pop("kind")
    more = ", ".join(f"{name} {value}" for name, value in given.items() if value not in (None, {}))
    return f"{kind} ({more})" if more else str(kind)


def _gan(belongs: Mapping[str, Any]) -> Mapping[str, Any]:
    found = belongs.get("config")
    return found if isinstance(found, Mapping) else {}


def _network(belongs: Mapping[str, Any], player: str) -> str:
    given = _gan(belongs).get(player, {})
    network, optimiser = dict(given.get("network", {})), given.get("optimiser", {})
    if not network:
        return ""
    told = [str(network.pop("kind"))]
    told += [
        f"{name.replace('_', ' ')} {value}" for name, value in network.items() if _plain(value)
    ]
    if optimiser:
        told.append(f"{optimiser['kind']} at {optimiser['learning_rate']:g}")
    return ", ".join(told)


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and value is not False


def _objective(belongs: Mapping[str, Any]) -> str:
    gan = _gan(belongs)
    if not gan:
        return ""
    penalties = [name for name, given in (gan.get("penalties") or {}).items() if given]
    told = [str(gan.get("loss", {}).get("kind", "")), *penalties]
    augmentation = (gan.get("augmentation") or {}).get("kind")
    return ", ".join([*filter(None, told), *([str(augmentation)] if augmentation else [])])


def _where(belongs: Mapping[str, Any]) -> str:
    if not belongs:
        return ""
    workers, threads = belongs.get("workers", 1), belongs.get("threads", 1)
    return (
        f"{belongs.get('device', 'cpu')}, {workers} worker{'s' * (workers != 1)} with {threads} "
        f"thread{'s' * (threads != 1)}, {belongs.get('precision', 'float32')}"
    )


def collapse(model: ModelRef, run: Training) -> Terms:
    """Verdict, end, interruptions and rescues of the training run."""
    told = [
        ("verdict", model.verdict or "play did not stall"),
        ("ended by", model.reason),
        ("attempts", str(run.attempts) if run.attempts else ""),
        ("coverage", _fall(run)),
    ]
    told += [(name.removeprefix("ganlib."), value) for name, value in run.tags.items()
             if name.startswith(RESCUE)]  # fmt: skip
    if not any(name.startswith("ganlib.rescue") for name in run.tags):
        told.append(("rescues", "none"))
    notes = [note for note in run.notes if any(word in note for word in TELLING)]
    told.append(("told while training", "; ".join(notes) if notes else "nothing"))
    return tuple((name, text) for name, text in told if text)


def _fall(run: Training) -> str:
    """Where coverage was highest, and how far it was from that at the end."""
    points = [(clock, found["coverage"]) for clock, found in run.series if "coverage" in found]
    if not points:
        return "no readings"
    clock, most = max(points, key=lambda point: point[1])
    last = points[-1][1]
    return f"highest {most:.3g} at {clock:,} images, {last:.3g} at the end"


def trials(past: Origins) -> Table | None:
    """What became of the trials of the sweep, of the table's columns the telling ones."""
    from ganlib.evaluation.report import Table

    path = past.sweep.result.get("table") if past.sweep is not None else None
    if not path or not Path(path).exists():
        return None
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = tuple(name for name in TRIAL_COLUMNS if rows and name in rows[0])
    cells = tuple(tuple(_cell(row[name]) for name in columns) for row in rows)
    return Table(columns, cells, tuple(c for c in columns if c not in ("state", "note")))


def _cell(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def cost(
    past: Origins,
    run: Training,
    belongs: Mapping[str, Any],
    evaluating: float,
    judge: JudgeRef,
) -> tuple[Table, tuple[str, ...]]:
    """Seconds of each stage when its work was done; of this evaluation up to the report."""
    from ganlib.evaluation.report import Table

    rows = [(r.label, duration(r.seconds), _rate(r.label, past, run)) for r in past.known()]
    rows.append(("evaluate", duration(evaluating), "up to this page"))
    total = sum(record.seconds for record in past.known()) + evaluating
    rows.append(("total", duration(total), ""))
    notes = []
    if past.gan is not None and belongs:
        threads = int(belongs.get("workers", 1)) * int(belongs.get("threads", 1))
        minutes = past.gan.seconds / 60
        if belongs.get("device") == "cuda":
            hours = past.gan.seconds / 3600 * int(belongs.get("workers", 1))
            notes.append(f"Training the generator took {hours:.2g} GPU-hours at most.")
        else:
            notes.append(
                f"Training the generator took {minutes * threads:.3g} CPU-minutes at most "
                f"({minutes:.3g} minutes on {threads} thread{'s' * (threads != 1)})."
            )
    wanted = ["prepare", "sweep", "gan"] + ["classifiers"] * (judge.kind == "classifier")
    gone = [name for name in wanted if getattr(past, name) is None]
    if gone:
        notes.append(f"Not recorded in this home: {', '.join(gone)}.")
    return Table(("stage", "time", ""), tuple(rows), ("time",)), tuple(notes)


def _rate(stage: str, past: Origins, run: Training) -> str:
    if stage == "gan" and run.speed is not None:
        return f"{run.speed:,.0f} images/s of training, the median of its reports"
    if stage == "prepare" and past.prepare is not None:
        rate = past.prepare.result.get("images_per_second")
        return f"{rate:,.0f} images/s" if rate else ""
    if stage == "sweep" and past.sweep is not None:
        return f"{past.sweep.result['trials']} trials"
    return ""


def _some(names: tuple[str, ...], most: int = 20) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
