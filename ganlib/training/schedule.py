"""Learning rates as pure functions of the clock."""

from __future__ import annotations

import math
from typing import assert_never

from ganlib.config import Constant, Cosine, Schedule


def factor(schedule: Schedule, clock: int, total: int) -> float:
    """What the learning rate is multiplied by when `clock` of `total` images have been shown.

    Cosine: Loshchilov and Hutter 2017, eq. 5 with one period, after a linear warm-up from zero.
    """
    match schedule:
        case Constant():
            return 1.0
        case Cosine(warmup_images=warmup, final=final):
            if clock < warmup:
                return (clock + 1) / (warmup + 1)
            share = min(1.0, (clock - warmup) / max(1, total - warmup))
            return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * share))
        case _:
            assert_never(schedule)
