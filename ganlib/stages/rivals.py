"""The champion beside a candidate: the same seeds and classes, and figures by the same judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.errors import Damaged, GanlibError
from ganlib.stages import records
from ganlib.stages.context import Context
from ganlib.stages.keys import model_fingerprint
from ganlib.stages.values import DatasetRef, Evaluated, ModelRef

if TYPE_CHECKING:
    from torch import nn

    from ganlib.evaluation import Row
    from ganlib.evaluation.report import Rival

Key = Callable[[ModelRef], str]
"""A generator -> the key of its evaluation by the same judge on the same images."""


def beside(
    context: Context, model: ModelRef, generator: nn.Module, dataset: DatasetRef, key: Key
) -> tuple[Rival | None, str]:
    """The champion, or none and why.

    Neither a registry that is away nor a champion that does not load stops an evaluation.
    """
    try:
        return _beside(context, model, generator, dataset, key)
    except Exception as error:
        text = error.message if isinstance(error, GanlibError) else repr(error)
        return None, f"The champion could not be looked at: {text}."


def _beside(
    context: Context, model: ModelRef, generator: nn.Module, dataset: DatasetRef, key: Key
) -> tuple[Rival | None, str]:
    from ganlib import tracking
    from ganlib.evaluation.report import Picture, Rival, side_by_side
    from ganlib.models import load_model
    from ganlib.tracking import registry

    name = f"{context.config.name}-generator"
    if tracking.champion_dataset(context.home, name) is None:
        return None, "There was no champion when this was evaluated."
    version = registry.resolve(context.home, f"{name}@champion")
    folder = tracking.fetch(context.home, version.uri)
    fingerprint = model_fingerprint(folder)
    if fingerprint == model.fingerprint:
        return None, f"This is the champion itself, {version.uri}."
    loaded = load_model(folder)
    found = tuple(loaded.classes), loaded.size, loaded.channels
    if found != (tuple(dataset.classes), dataset.size, dataset.channels):
        return None, f"The champion, {version.uri}, was made for other images."
    loaded.module.to(next(generator.parameters()).device)
    picture = Picture(
        "champion",
        "Candidate and champion",
        "A class to a row: five seeds of this generator, and the same five of the champion.",
        side_by_side(
            generator,
            loaded.module,
            dataset.classes,
            context.config.evaluation.seed,
            max(1, round(48 / dataset.size)),
        ),
    )
    rows = _rows(context, key(_reference(folder, fingerprint)))
    told = f"The champion when this was evaluated was {version.uri}, generator {fingerprint[:8]}."
    if not rows:
        told += " This judge had not seen it yet; promotion evaluates it by this judge."
    return Rival(f"version {version.version}", told, picture, rows), ""


def _reference(folder: Path, fingerprint: str) -> ModelRef:
    return ModelRef(
        kind="generator",
        folder=str(folder),
        fingerprint=fingerprint,
        run="registry",
        images=0,
        reason="registered",
        metrics={},
    )


def _rows(context: Context, key: str) -> tuple[Row, ...]:
    from ganlib.evaluation import Row

    try:
        record = records.read(context.home, key)
    except Damaged:
        return ()
    if record is None:
        return ()
    told = Evaluated.model_validate(record.result["candidate"])
    return tuple(Row(**row.model_dump()) for row in told.rows)
