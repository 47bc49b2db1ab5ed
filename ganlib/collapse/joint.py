"""Scores of several signals together: what all of them are a little below is told sooner.

Signals of one kind err apart while nothing is wrong and fall together when variety goes, so their
mean may be held to a narrower limit than each of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

WITHIN = "joint/within"
CLASSES = "joint/classes"
SHARES = "joint/shares"
LAST, LONG = 3, 10
"""Readings over which classes are averaged: of 256 samples a tenth has 26 +- 5."""


@dataclass
class Joint:
    """What has been read so far; `scores` takes one reading more."""

    past: dict[str, deque[float]] = field(default_factory=dict)
    classes: deque[float] = field(default_factory=lambda: deque(maxlen=LONG))

    def scores(self, scores: Mapping[str, float]) -> dict[str, float]:
        """`scores` with the least of the classes averaged, and the means of sorts of them.

        Each mean is there where two signals of its sort at least are read.
        `joint/within`: how near samples are to each other, in pixels, in features and within a
        class. `joint/classes`: the classes' entropy and least share, over the last three readings.
        `joint/shares`: the same over the last ten, once there are so many.
        """
        found = {name: self._recent(name, s) for name, s in scores.items() if "/least_" in name}
        within = [s for name, s in scores.items() if name.endswith(("distance", "/spread"))]
        if len(within) > 1:
            found[WITHIN] = fmean(within)
        classes = [s for name, s in scores.items() if name.endswith(("/entropy", "/least_share"))]
        if len(classes) > 1:
            found[CLASSES] = self._recent(CLASSES, fmean(classes))
            self.classes.append(fmean(classes))
            if len(self.classes) == LONG:
                found[SHARES] = fmean(self.classes)
        return {**scores, **found}

    def _recent(self, name: str, score: float) -> float:
        last = self.past.setdefault(name, deque(maxlen=LAST))
        last.append(score)
        return fmean(last)
