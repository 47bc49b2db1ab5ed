"""Images to a prepared dataset."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config import PipelineConfig
from ganlib.errors import ConfigError, DataError
from ganlib.stages.context import Context
from ganlib.stages.records import Work, run_stage
from ganlib.stages.values import DatasetRef, Duplicates, StageResult
from ganlib.training import Journal

if TYPE_CHECKING:
    from ganlib.data import Dataset


def parts(config: PipelineConfig) -> dict[str, Any]:
    """The settings, and what the source holds now: files added or changed are another key."""
    from ganlib.data import source_state

    return {
        "data": config.data.preparation(),
        "source": source_state(config.data, search_folders()),
    }


def search_folders() -> tuple[Path, ...]:
    """Where named datasets are looked for before they are downloaded.

    Raises DataError if GANLIB_DATA names no folder.
    """
    named = os.environ.get("GANLIB_DATA", "")
    folder = Path(named).expanduser()
    if named and not folder.is_dir():
        raise DataError(
            f"GANLIB_DATA={named} names no folder",
            where="GANLIB_DATA",
            hint="give a folder that exists, or unset it",
        )
    return (folder,) if named else ()


def run(context: Context) -> StageResult[DatasetRef]:
    return run_stage(
        context, "prepare", parts(context.config), DatasetRef, _prepare, describe=_describe
    )


def enough(config: PipelineConfig, counts: Mapping[str, int]) -> None:
    """Every split has more images than `evaluation.neighbours` of a reading look at.

    Raises ConfigError naming the split and the setting that makes it larger.
    """
    neighbours = config.evaluation.neighbours
    for split, share in (
        ("validation", "data.validation_fraction"),
        ("test", "data.test_fraction"),
        ("train", ""),
    ):
        count = counts.get(split, 0)
        if count <= neighbours:
            larger = f", raise {share} (a source's own {split} split stays as it is)"
            raise ConfigError(
                f"the {split} split has {count} image{'' if count == 1 else 's'}, and "
                f"evaluation.neighbours={neighbours} needs more than {neighbours}",
                where=share or "evaluation.neighbours",
                hint=f"add images{larger if share else ''}, or lower evaluation.neighbours",
            )


def _prepare(work: Work) -> DatasetRef:
    from ganlib.data import prepare

    config, home = work.context.config, work.context.home
    before = time.monotonic()
    dataset = prepare(
        config.data, home.data, search=search_folders(), progress=_telling(work.journal)
    )
    seconds = max(time.monotonic() - before, 1e-9)
    work.journal.dataset(config.name, dataset.fingerprint, str(dataset.folder))
    work.journal.params({"data": config.data.model_dump(mode="json")})
    skipped, total = dataset.skipped(), sum(dataset.counts.values())
    twice = _twice(dataset)
    readings = {f"duplicates/{name}": float(n) for name, n in twice.model_dump().items()}
    readings |= {"images_per_second": total / seconds, "skipped": float(len(skipped))}
    work.journal.metrics(total, readings)
    return DatasetRef(
        folder=str(dataset.folder),
        fingerprint=dataset.fingerprint,
        size=dataset.size,
        channels=dataset.channels,
        classes=dataset.classes,
        counts=dict(dataset.counts),
        skipped=len(skipped),
        skipped_table=work.table("skipped", skipped),
        ignored=dataset.ignored,
        duplicates=twice,
        duplicates_table=work.table("duplicates", dataset.duplicates()),
        images_per_second=total / seconds,
    )


def _twice(dataset: Dataset) -> Duplicates:
    found = dataset.duplicate_counts
    return Duplicates(
        exact=found["exact"]["groups"],
        near=found["near"]["groups"],
        across_splits=sum(kind["across_splits"] for kind in found.values()),
    )


def _telling(journal: Journal) -> Callable[[str, int, int], None]:
    """Progress as notes, at most one a second."""
    last = 0.0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1.0:
            last = now
            count = f" {done:,} of {total:,}" if total else f" {done:,}" if done else ""
            journal.note(what + count)

    return tell


def _describe(data: DatasetRef) -> str:
    counts = ", ".join(f"{count:,} {split}" for split, count in data.counts.items())
    said = [f"{data.skipped:,} files skipped"] if data.skipped else []
    if data.ignored:
        said.append(f"{sum(data.ignored.values()):,} files are no images")
    if data.duplicates.exact or data.duplicates.near:
        exact, near, across = vars(data.duplicates).values()
        said.append(f"{exact:,} exact and {near:,} near duplicates, {across:,} across splits")
    if data.images_per_second is not None:
        said.append(f"{data.images_per_second:,.0f} images/s")
    text = "; ".join([f"{counts} images", *said])
    classes = f"{len(data.classes)} classes" if data.labelled else "No classes"
    return f"{classes} at {data.size} pixels: {text}."
