"""What was true of a run, by what a judge said at each of its readings.

The judge is not the detector's, looks at up to 1,000 samples where that looks at 256, and holds
them against images that the detector never sees.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Any, Literal

Cell = dict[str, Any]
Truth = Literal["collapsed", "healthy", "neither"]

GOOD = 0.7  # of the coverage that healthy runs come to
LEAST = 0.3  # of the coverage of real images
SPREAD = 0.5  # of the variance inside classes of real images
LASTING = 3  # readings


def truth_of(cell: Cell, covers: float, became: int) -> tuple[Truth, int | None]:
    """`collapsed` with its onset, `healthy`, or `neither`.

    A reading is good when the judge finds all classes, at least 0.7 of `covers` and 0.3 of the
    coverage of real images, and half of their variance inside classes: two images of each class may
    well cover the half. A run made to collapse has done so when three readings in a row are not
    good, from where it began or from where healthy runs of its dataset are good (`became`),
    whichever is later. A healthy run is good from there on.
    """
    clocks = [int(clock) for clock, _ in cell["series"]]
    since = max(became, cell["start"] + 1)
    bad = [
        clock >= since and not good(judged, covers)
        for clock, judged in zip(clocks, cell["truth"], strict=True)
    ]
    for n in range(len(bad) - LASTING + 1):
        if all(bad[n : n + LASTING]):
            return ("collapsed", clocks[n]) if cell["collapses"] else ("neither", None)
    return ("neither", None) if cell["collapses"] or any(bad[-LASTING:]) else ("healthy", None)


def good(judged: dict[str, float], covers: float) -> bool:
    varied = judged["spread"] >= SPREAD
    enough = judged["coverage"] >= max(GOOD * covers, LEAST)
    return enough and judged["classes"] >= 1 and varied


def covered(cells: Iterable[Cell]) -> float:
    """What healthy runs from scratch come to: the median of their last coverage; 1 without any."""
    found = [cell["truth"][-1]["coverage"] for cell in cells if _sets_the_mark(cell)]
    return median(found) if found else 1.0


def becomes_good(cells: Iterable[Cell], covers: float) -> int:
    """The clock at which nine in ten healthy runs from scratch have become good; 0 without any."""
    found = []
    for cell in cells:
        if _sets_the_mark(cell):
            pairs = zip(cell["series"], cell["truth"], strict=True)
            found.append(next((int(at[0]) for at, told in pairs if good(told, covers)), math.inf))
    known = sorted(clock for clock in found if clock < math.inf)
    return int(known[min(len(known) - 1, math.ceil(0.9 * len(known)) - 1)]) if known else 0


def _sets_the_mark(cell: Cell) -> bool:
    return not cell["collapses"] and not cell["start"]
