"""Where a run reads its images from: memory or shards, this machine or S3."""

from __future__ import annotations

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
    """A split whose batches come on `device`: the same ones wherever its images are kept."""
    if _in_memory(dataset.bytes_of(split), reading, device):
        loaded = dataset.load(split)
        return Images(loaded.image_NHWC.to(device), loaded.label_N.to(device))
    stored = dataset.stored(split)
    return StoredImages(stored.image_NHWC, stored.label_N.to(device))


def _in_memory(size: int, reading: Reading, device: torch.device) -> bool:
    match reading.in_memory:
        case "always":
            return True
        case "never":
            return False
        case "auto":
            return size <= reading.memory_share * _room(device)
        case _:
            assert_never(reading.in_memory)


def _room(device: torch.device) -> float:
    """Free bytes of each process on this machine, and of its device if that is another memory."""
    import torch

    room = free_memory() / processes_beside()
    if device.type == "cuda":
        return min(room, torch.cuda.mem_get_info(device)[0])
    return room
