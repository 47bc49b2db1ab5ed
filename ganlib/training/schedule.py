"""Learning rates as pure functions of the clock."""

from __future__ import annotations

import math
from typing import assert_never

from ganlib.config import Constant, Cosine, OneCycle, Schedule, Step


def factor(schedule: Schedule, clock: int, total: int) -> float:
    """What the learning rate is multiplied by when `clock` of `total` images have been shown.

    A linear warm-up from zero to where the schedule begins. Then cosine: Loshchilov and Hutter
    2017, eq. 5 with one period. Step: milestones are shares of the total, warm-up included, as
    papers give them. One cycle: Smith and Topin 2018, along cosines instead of lines.
    """
    warmup = schedule.warmup_images
    warm = min(1.0, (clock + 1) / (warmup + 1))
    share = min(1.0, max(0, clock - warmup) / max(1, total - warmup))
    match schedule:
        case Constant():
            return warm
        case Cosine(final=final):
            return warm * _along(1.0, final, share)
        case Step(milestones=milestones, gamma=gamma):
            passed = sum(clock >= round(milestone * total) for milestone in milestones)
            return warm * gamma**passed
        case OneCycle(rise=rise, initial=initial, final=final):
            if share < rise:
                return warm * _along(initial, 1.0, share / rise)
            return warm * _along(1.0, final, (share - rise) / (1.0 - rise))
        case _:
            assert_never(schedule)


def _along(begin: float, end: float, share: float) -> float:
    """Half a cosine from `begin` to `end`."""
    return end + (begin - end) * 0.5 * (1.0 + math.cos(math.pi * share))
