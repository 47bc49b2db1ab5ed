"""Where a night with new images may begin: at the last snapshot of the champion."""

from __future__ import annotations

import logging
from pathlib import Path

from ganlib.config import Config, PipelineConfig
from ganlib.errors import GanlibError, NotFound
from ganlib.stages import forks
from ganlib.stages.keys import model_fingerprint
from ganlib.stages.origins import trained
from ganlib.stages.values import Candidate, DatasetRef
from ganlib.storage import Home

logger = logging.getLogger("ganlib.flows")


class Start(Config):
    """`origin` is RUN@CLOCK; `config` trains the budget's images more from there."""

    origin: str
    config: PipelineConfig


def start(
    home: Home, config: PipelineConfig, dataset: DatasetRef, *, always: bool = False
) -> Start | None:
    """None where there is no champion, or it is what the images and settings give from nothing.

    The GAN keeps the champion's settings, since its weights and moments belong to them, and sees
    `gan.budget.images` more. A champion of these very images began where it says, so that its stage
    is reused; with `always` it is gone on from all the same. What cannot be gone on from, since its
    snapshots are not in this home or its images were of another size, is said and begun anew.
    """
    try:
        return _start(home, config, dataset, always)
    except GanlibError as error:
        logger.warning("training begins anew: %s", error.message)
        return None


def _start(home: Home, config: PipelineConfig, dataset: DatasetRef, always: bool) -> Start | None:
    from ganlib import tracking

    name = f"{config.name}-generator"
    if tracking.champion_dataset(home, name) is None:
        return None
    record = trained(home, model_fingerprint(tracking.fetch(home, f"models:/{name}@champion")))
    if record is None:
        raise NotFound(f"what trained the champion of {name} is not in {home.root}", where=name)
    made = Candidate.model_validate(record.result)
    if record.values["dataset"] == dataset.fingerprint and not always:
        origin = (record.values.get("origin") or {}).get("name", "")
        if not origin:
            return None
    else:
        origin = f"{made.model.run}@{_clock(made)}"
    begin = forks.fork(home, origin)
    images = begin.origin.clock + config.gan.budget.images
    budget = config.gan.budget.model_copy(update={"images": images})
    gan = begin.config.gan.model_copy(update={"budget": budget})
    forks.check(gan, begin, config.data)
    return Start(origin=begin.name, config=config.model_copy(update={"gan": gan}))


def _clock(made: Candidate) -> int:
    """The last snapshot that the champion's own weights are not older than."""
    from ganlib.training import forensics

    there = [c for c in forensics.clocks(Path(made.model.folder).parent) if c <= made.model.images]
    if not there:
        raise NotFound(f"{made.model.run} has no snapshot left", where=made.model.run)
    return max(there)
