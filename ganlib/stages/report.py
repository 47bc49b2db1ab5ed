"""The page and the model cards of an evaluation: what is asked of the home, and where they go."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.stages import accounts, judges, lineage, rivals
from ganlib.stages.origins import Training, origins, training
from ganlib.stages.records import Work
from ganlib.stages.values import DatasetRef, JudgeRef, ModelRef
from ganlib.storage import read_json, write_bytes

if TYPE_CHECKING:
    from torch import nn

    from ganlib.evaluation import EvaluationTable, Row
    from ganlib.evaluation.report import Facts, Frame, Picture

CURVES = ("coverage", "recall", "scaled_distance", "label_agreement")
TEXTS = {
    "grid": ("Generated, by class", "A class to a row, a seed to each image."),
    "real_beside_generated": (
        "Real beside generated",
        "Held-out images on the left, generated ones of the same class on the right.",
    ),
    "truncation": (
        "Truncation",
        "A class to a column, the same noise nearer to its middle from row to row: "
        "cleaner and less varied.",
    ),
    "interpolation": (
        "Interpolation",
        "From one seed to another in each class: even steps are a good sign, jumps are not.",
    ),
    "missing": (
        "Uncovered, by class",
        "Held-out images with none of any sample set among their neighbours, the ones in the "
        "densest places first, and how many of how many.",
    ),
    "nearest": (
        "Samples and their neighbours",
        "A generated image, then the three training images nearest to it in the judge's features.",
    ),
    "closest": (
        "The samples closest to training images",
        "Of a whole sample set: copies would show here.",
    ),
    "judge_confusion": ("Confusion", "Rows are the true class, columns the judge's answer."),
}
WITHOUT_CLASSES = TEXTS | {
    "grid": ("Generated", "A seed to each image."),
    "real_beside_generated": (
        "Real beside generated",
        "Held-out images on the left, generated ones on the right; they are no pairs.",
    ),
    "truncation": (
        "Truncation",
        "The same noise nearer to its middle from row to row: cleaner and less varied.",
    ),
    "interpolation": (
        "Interpolation",
        "From one seed to another in each row: even steps are a good sign, jumps are not.",
    ),
    "missing": (
        "Uncovered",
        "Held-out images with none of any sample set among their neighbours, the ones in the "
        "densest places first, and how many of how many.",
    ),
}


@dataclass(frozen=True)
class Pages:
    """Paths of what was written."""

    report: str
    card: str
    judge_card: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the evaluation has at hand for its report; `begun` is its start by the monotonic clock.

    `pictures` are its own by name; `rival_key` finds the champion's evaluation by the same judge.
    """

    dataset: DatasetRef
    judge: JudgeRef
    model: ModelRef
    generator: nn.Module
    found: EvaluationTable
    samples: int
    floor_of: str
    judge_rows: Sequence[Row]
    pictures: dict[str, str]
    rival_key: rivals.Key
    begun: float


def write(work: Work, given: Evaluation) -> Pages:
    """`report.html`, `card.md` and, of a trained judge, `judge-card.md` in the stage's folder; the
    page is an artifact of its run."""
    from ganlib.evaluation.report import generator_card, judge_card, page

    told = facts(work, given)
    texts = {"report.html": page(told), "card.md": generator_card(told)}
    if given.judge.kind == "classifier":
        texts["judge-card.md"] = judge_card(told)
    for name, text in texts.items():
        write_bytes(work.folder / name, text.encode())
    work.journal.artifact(work.folder / "report.html")
    return Pages(*(str(work.folder / name) for name in texts))


def facts(work: Work, given: Evaluation) -> Facts:
    from ganlib.evaluation.report import Facts

    config, home = work.context.config, work.context.home
    past = origins(home, given.dataset, given.judge, given.model)
    model = given.model
    if past.gan is not None:  # a registered copy has the same weights and no journal beside it
        model = ModelRef.model_validate(past.gan.result["model"])
    run = training(home, model)
    belongs = _belongs(given.model)
    pictures, notes = _pictures(work, given)
    rival, no_rival = rivals.beside(
        work.context, given.model, given.generator, given.dataset, given.rival_key
    )
    cost, cost_notes = accounts.cost(
        past, run, belongs, time.monotonic() - given.begun, given.judge
    )
    return Facts(
        title=f"{config.name}: evaluation of generator {given.model.fingerprint[:8]}",
        purpose=config.purpose,
        headline=_headline(given, model),
        alarms=tuple(accounts.alarms(given.found.rows, model)),
        trained=accounts.trained(config, given.dataset, given.judge, model, belongs),
        pictures=pictures,
        notes=notes,
        frames=_frames(run),
        series=_series(run),
        rows=given.found.rows,
        samples=given.samples,
        floor_of=given.floor_of,
        rival=rival,
        no_rival=no_rival,
        collapse=accounts.collapse(model, run),
        collapse_series={"win_rate": run.play} if run.play else {},
        trials=accounts.trials(past),
        judge_told=judges.told(given.judge),
        judge_rows=tuple(given.judge_rows),
        cost=cost,
        cost_notes=cost_notes,
        lineage=lineage.lineage(work, given.dataset, given.judge, model, past, run),
        command=lineage.command(work, past),
        config=lineage.settings(work),
        expected=lineage.expected(given.judge, given.model, belongs),
        environment=lineage.environment(),
    )


def _headline(given: Evaluation, model: ModelRef) -> str:
    clock = f"{model.images:,} images, ended by {model.reason}" if model.images else "registered"
    return (
        f"Trained on {clock}; judged on {given.samples:,} held-out images by "
        f"{judges.name(given.judge)}."
    )


def _belongs(model: ModelRef) -> dict[str, Any]:
    """What the weights depend on, as the exported model says."""
    meta = read_json(Path(model.folder) / "network.json").get("meta")
    found = meta.get("belongs") if isinstance(meta, dict) else None
    return found if isinstance(found, dict) else {}


def _pictures(work: Work, given: Evaluation) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Those of the evaluation, and truncation and interpolation drawn here."""
    from ganlib.evaluation.report import Picture, interpolated, truncated

    names, seed = given.dataset.classes, work.context.config.evaluation.seed
    scale = max(1, round(48 / given.dataset.size))
    made = {name: Path(path).read_bytes() for name, path in given.pictures.items()}
    notes = []
    try:
        made["truncation"] = truncated(given.generator, names, seed, scale)
    except ValueError as error:
        notes.append(f"No truncation: {error}.")
    ends = seed, seed + 1
    made["interpolation"] = interpolated(given.generator, names, ends, scale)
    for name in ("truncation", "interpolation"):
        if name in made:
            work.picture(given.model.images, name, made[name])
    texts = TEXTS if given.dataset.labelled else WITHOUT_CLASSES
    told = (Picture(name, *texts[name], made[name]) for name in texts if name in made)
    return tuple(told), tuple(notes)


def _frames(run: Training) -> tuple[Frame, ...]:
    from ganlib.evaluation.report import Frame

    told = []
    for clock, path in run.frames:
        before = [
            found["coverage"] for at, found in run.series if at <= clock and "coverage" in found
        ]
        told.append(Frame(clock, path.read_bytes(), before[-1] if before else None))
    return tuple(told)


def _series(run: Training) -> dict[str, tuple[tuple[int, float], ...]]:
    points = {
        name: tuple((clock, found[name]) for clock, found in run.series if name in found)
        for name in CURVES
    }
    return {name: found for name, found in points.items() if found}
