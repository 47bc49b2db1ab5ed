"""Which images come when: a pure function of the position in the endless stream of epochs."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ganlib.determinism import stream


def indices(total: int, seed: int, start: int, count: int) -> Tensor:
    """Images [start, start + count) of the stream of per-epoch permutations of `total` images.

    Every epoch shows each image once. Shape (count,), int64. Raises ValueError if there is nothing
    to order.
    """
    if total < 1 or start < 0 or count < 0:
        raise ValueError(f"no order of {total} images from {start}, {count} of them")
    epoch, offset = divmod(start, total)
    parts: list[Tensor] = []
    missing = count
    while missing > 0:
        part = _epoch(total, seed, epoch)[offset : offset + missing]
        parts.append(part)
        missing -= len(part)
        epoch, offset = epoch + 1, 0
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


@lru_cache(maxsize=4)
def _epoch(total: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(total, generator=stream(seed, "order", epoch))
