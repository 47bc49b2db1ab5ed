"""Shares with exact intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def share(count: int, total: int) -> dict[str, Any]:
    """`share` and its exact 95 % `interval` (Clopper and Pearson 1934); no share of nothing."""
    if not total:
        return {"share": None, "interval": [0.0, 1.0]}
    low = 0.0 if count == 0 else _root(lambda p: 1 - _below(count - 1, total, p), 0.025)
    high = 1.0 if count == total else _root(lambda p: 1 - _below(count, total, p), 0.975)
    return {"share": count / total, "interval": [low, high]}


def _below(count: int, total: int, p: float) -> float:
    """The probability of at most `count` of `total`."""
    return math.fsum(math.comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(count + 1))


def _root(rising: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2
