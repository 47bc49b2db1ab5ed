"""The batches of a run in their order; those that are read from disk are prepared one ahead.

N images of this rank's share of a batch, H W pixels, C channels
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.data import Images, StoredImages
from ganlib.data.order import indices
from ganlib.determinism import Replicas


@dataclass(frozen=True)
class Batch:
    """This rank's share of one or more global batches, end to end."""

    image_NHWC: Tensor
    label_N: Tensor


def blank(count: int, size: int, channels: int, device: torch.device) -> Batch:
    """`count` black images of the first class."""
    image_NHWC = torch.zeros(count, size, size, channels, dtype=torch.uint8, device=device)
    return Batch(image_NHWC, torch.zeros(count, dtype=torch.int64, device=device))


def feed(
    images: Images | StoredImages, replicas: Replicas, *, seed: int, batch: int, clocks: range
) -> Iterator[Batch]:
    """A batch for each of `clocks`, whose step is a multiple of `batch`, on the labels' device.

    Where the images lie changes nothing in them. Raises Damaged and StorageError, when the batch is
    asked for that could not be read.
    """
    made = _made(images, replicas, seed, batch, clocks)
    return made if images.in_memory else _ahead(made)


def _made(
    images: Images | StoredImages, replicas: Replicas, seed: int, batch: int, clocks: range
) -> Iterator[Batch]:
    for clock in clocks:
        index_N = indices(len(images), seed, clock, clocks.step)
        mine_N = torch.cat([replicas.slice(part_N) for part_N in torch.split(index_N, batch)])
        yield Batch(*images.batch(mine_N))


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, each prepared by a thread while the one before is used; never more than one."""
    with ThreadPoolExecutor(1, thread_name_prefix="next-batch") as pool:
        following = pool.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = pool.submit(next, batches, None)
            yield batch
