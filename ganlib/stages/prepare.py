"""Images to a prepared dataset."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganlib.config import PipelineConfig
from ganlib.stages.context import Context
from ganlib.stages.records import Work, run_stage
from ganlib.stages.values import DatasetRef, StageResult
from ganlib.training import Journal


def parts(config: PipelineConfig) -> dict[str, Any]:
    """The settings, and what the source holds now: files added or changed are another key."""
    from ganlib.data import source_state

    return {"data": config.data, "source": source_state(config.data, search_folders())}


def search_folders() -> tuple[Path, ...]:
    """Where named datasets are looked for before they are downloaded."""
    folder = os.environ.get("GANLIB_DATA", "")
    return (Path(folder),) if folder else ()


def run(context: Context) -> StageResult[DatasetRef]:
    return run_stage(
        context, "prepare", parts(context.config), DatasetRef, _prepare, describe=_describe
    )


def _prepare(work: Work) -> DatasetRef:
    from ganlib.data import prepare

    config, home = work.context.config, work.context.home
    dataset = prepare(
        config.data, home.data, search=search_folders(), progress=_telling(work.journal)
    )
    work.journal.dataset(config.name, dataset.fingerprint, str(dataset.folder))
    work.journal.params({"data": config.data.model_dump(mode="json")})
    skipped = dataset.skipped()
    return DatasetRef(
        folder=str(dataset.folder),
        fingerprint=dataset.fingerprint,
        size=dataset.size,
        channels=dataset.channels,
        classes=dataset.classes,
        counts=dict(dataset.counts),
        skipped=len(skipped),
        skipped_table=work.table("skipped", skipped),
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
    skipped = f"; {data.skipped:,} files skipped" if data.skipped else ""
    return f"{len(data.classes)} classes at {data.size} pixels: {counts} images{skipped}."
