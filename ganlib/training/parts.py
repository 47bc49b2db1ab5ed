"""A batch taken in equal parts, one after the other, to save memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def rows(count: int, parts: int) -> Iterator[slice]:
    """The rows of each of `parts` equal parts of `count` samples, in order."""
    size = count // parts
    for first in range(0, parts * size, size):
        yield slice(first, first + size)


def mean(told: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Of the scalars of equally large parts, or of the steps of one turn."""
    if len(told) == 1:
        return dict(told[0])
    return {name: torch.stack([one[name] for one in told]).mean() for name in told[0]}
