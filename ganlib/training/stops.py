"""When to stop before the budget is used up: pure functions of the series of readings."""

from __future__ import annotations

from collections.abc import Sequence

from ganlib.config import Plateau

Reading = tuple[int, dict[str, float]]


def on_plateau(series: Sequence[Reading], plateau: Plateau) -> bool:
    """Whether coverage rose by less than `min_delta` over the last `patience` evaluations."""
    if not series or series[-1][0] < plateau.min_images:
        return False
    coverage = [readings["coverage"] for _, readings in series if "coverage" in readings]
    before, last = coverage[: -plateau.patience], coverage[-plateau.patience :]
    return bool(before) and max(last) < max(before) + plateau.min_delta
