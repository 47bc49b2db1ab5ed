"""An evaluation of many images by several workers, and what is kept of its real ones.

N images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.config import ExtractorConfig, NetworkFeatures
from ganlib.stages import judges
from ganlib.stages.records import Work
from ganlib.stages.sessions import ray_log
from ganlib.stages.values import DatasetRef, JudgeRef, ModelRef

if TYPE_CHECKING:
    from torch import nn

    from ganlib.evaluation import Extractor
    from ganlib.evaluation.kept import Kept
    from ganlib.evaluation.pairs import ByWorkers

# Fewer images of each are done in less time than Ray takes to start.
FROM = 20_000


@contextmanager
def shared(
    work: Work, samples: int, model: ModelRef, judge: JudgeRef, channels: int
) -> Iterator[ByWorkers | None]:
    """By `cluster.workers`, from FROM images on; none where this process does it alone.

    No number depends on it. What the workers hand each other is gone afterwards.
    """
    from ganlib.cluster import RayWorkers, ray_session
    from ganlib.evaluation.pairs import ByWorkers

    cluster = work.context.config.cluster
    if cluster.workers == 1 or samples < FROM:
        yield None
        return
    work.context.say(f"evaluate: {samples:,} images of each by {cluster.workers} workers")
    log = ray_log(work.context.home)
    workers = RayWorkers(cluster, log)
    pairs = ByWorkers(
        workers,
        work.folder / "shared",
        partial(opened, model.folder, judge, channels, cluster.device),
    )
    try:
        with ray_session(cluster, log=log):
            yield pairs
    finally:
        pairs.clear()
    for name, spent in workers.spent.items():
        work.journal.note(
            f"worker {name}: {spent.peak_mb - spent.idle_mb:.0f} MB at most beside the "
            f"{spent.idle_mb:.0f} MB of an idle one, {spent.cpu_s:.0f} CPU-seconds"
        )


@contextmanager
def sharing_too(
    by: ByWorkers | None, model: ModelRef, settings: ExtractorConfig, channels: int, device: str
) -> Iterator[ByWorkers | None]:
    """The same workers for another network; none where there are none."""
    from ganlib.evaluation.pairs import ByWorkers

    if by is None:
        yield None
        return
    opening = partial(opened_beside, model.folder, settings, channels, device)
    pairs = ByWorkers(by.workers, by.folder / settings.kind, opening)
    try:
        yield pairs
    finally:
        pairs.clear()


def opened_beside(
    generator: str, settings: ExtractorConfig, channels: int, device: str
) -> tuple[nn.Module, Extractor]:
    """As `opened`, with a network that is no judge."""
    import torch

    from ganlib.evaluation.networks import build_extractor
    from ganlib.models import load_model
    from ganlib.training.memory import keep_freed

    keep_freed()
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    drawing = load_model(Path(generator))
    drawing.module.to(place)
    return drawing.module, build_extractor(settings, channels=channels, device=place)


def opened(
    generator: str, judge: JudgeRef, channels: int, device: str
) -> tuple[nn.Module, Extractor]:
    """What a worker draws and looks at images with; on its GPU if it has one and may."""
    import torch

    from ganlib.models import load_model
    from ganlib.training.memory import keep_freed

    keep_freed()
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    drawing = load_model(Path(generator))
    drawing.module.to(place)
    return drawing.module, judges.extractor(judge, channels, place)


def kept(work: Work, dataset: DatasetRef, judge: JudgeRef, device: str) -> Kept:
    """Of the real images in the judge's features."""
    return _kept(work, dataset.fingerprint, f"{judge.fingerprint}:features", device)


def kept_beside(
    work: Work, dataset: str, settings: NetworkFeatures, name: str, device: str
) -> Kept:
    """Of the real images of `dataset`, a fingerprint, in the features of a network that is no
    judge: `name` says which, and the digest of its file, if it has one, with which weights."""
    return _kept(work, dataset, f"{name}:{weights_digest(settings)}", device)


def weights_digest(settings: NetworkFeatures) -> str:
    """sha256 of the file of a network's weights; empty where it has none."""
    if (weights := settings.weights()) is None:
        return ""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept(work: Work, dataset: str, extractor: str, device: str) -> Kept:
    from ganlib.evaluation.kept import Kept

    return Kept.of(
        work.context.home.cache / "real",
        dataset,
        extractor,
        device=device,
        say=lambda text: work.context.say(f"evaluate: {text}"),
    )
