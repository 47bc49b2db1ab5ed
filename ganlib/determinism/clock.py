"""The clock counts images; every cadence is a pure function of it, the same on every rank."""

from __future__ import annotations


def due(every: int, before: int, after: int) -> bool:
    """Whether a multiple of `every` images lies in (before, after]."""
    return after // every > before // every


def whole_batches(images: int, batch: int) -> int:
    """`images` rounded up to whole batches."""
    return -(-images // batch) * batch
