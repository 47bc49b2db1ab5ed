"""Signals without a null are held against their own past: losses and distances.

`losses/discriminator` counts as unusual when it leaves what it has been, in either direction; the
generator's wanders in healthy runs too. `distance/...` (an FID, a scaled distance) does when it
rises above its best so far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from ganlib.collapse.null import NORMAL

WINDOW = 100
ROUNDING = 1e-6
# A distance half as much again as the best one scores -4.
TOLERANCE = math.log(1.5) / 4


@dataclass
class Past:
    """What has been read so far; `scores` takes one reading more."""

    losses: dict[str, list[float]] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)

    def scores(self, values: Mapping[str, float]) -> dict[str, float]:
        """Below 0 the more unusual: a loss in deviations, a distance in powers of 1.5 ** (1 / 4).

        A loss's deviation is 1.4826 times the median absolute one of its last 100 values, and
        there is none before there are so many.
        """
        found = {}
        for name, value in values.items():
            if name == "losses/discriminator":
                past = self.losses.setdefault(name, [])
                if len(past) == WINDOW:
                    found[name] = -_deviations(value, past)
                past.append(value)
                del past[:-WINDOW]
            elif name.startswith("distance/"):
                best = self.best[name] = min(value, self.best.get(name, value))
                found[name] = -math.log(max(value, ROUNDING) / max(best, ROUNDING)) / TOLERANCE
        return found


def _deviations(value: float, past: list[float]) -> float:
    centre = median(past)
    spread = NORMAL * median(abs(x - centre) for x in past)
    return abs(value - centre) / max(spread, ROUNDING)
