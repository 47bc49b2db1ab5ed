"""Where a run reads its images from: memory or shards, this machine or S3."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from ganlib.config import Reading
from ganlib.data.dataset import Dataset
from ganlib.data.images import Images, StoredImages
from ganlib.data.room import free_memory, processes_beside

if TYPE_CHECKING:
    import torch


def open_set(folder: Path | str, fingerprint: str, reading: Reading) -> Dataset:
    """The set in `folder`, or its copy in S3 where `reading` names one. Raises as `open` does."""
    if reading.copy_at is not None:
        return Dataset.open_copy(reading.copy_at, fingerprint, reading.cache_bytes)
    return Dataset.open(Path(folder), fingerprint)


def open_images(
    dataset: Dataset, split: str, reading: Reading, device: torch.device
) -> Images | StoredImages:
    """A split whose batches come on `device`: the same ones wherever its images are kept.

    What fits in this machine's memory is loaded, and what fits in the device's too lies there.
    """
    size = dataset.bytes_of(split)
    if _in_memory(size, reading):
        loaded = dataset.load(split)
        fits = size <= reading.memory_share * _left(device)
        image_NHWC = loaded.image_NHWC.to(device) if fits else loaded.image_NHWC
        return Images(image_NHWC, loaded.label_N.to(device))
    stored = dataset.stored(split)
    return StoredImages(stored.image_NHWC, stored.label_N.to(device))


def _in_memory(size: int, reading: Reading) -> bool:
    match reading.in_memory:
        case "always":
            return True
        case "never":
            return False
        case "auto":
            return size <= reading.memory_share * free_memory() / processes_beside()
        case _:
            assert_never(reading.in_memory)


def _left(device: torch.device) -> float:
    """Free bytes of a device with a memory of its own; of a CPU, which has none, enough."""
    import torch

    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf
