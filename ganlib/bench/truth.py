"""What was true of a run, by what a judge said at each of its readings.

The judge is not the detector's, looks at up to 1,000 samples where that looks at 256, and holds
them against images that the detector never sees.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Any, Literal, NamedTuple

Cell = dict[str, Any]
Truth = Literal["collapsed", "healthy", "neither"]

GOOD = 0.7  # of the coverage that healthy runs come to
LEAST = 0.3  # of the coverage of real images
SPREAD = 0.6  # of the variance inside classes that healthy runs come to
LASTING = 3  # readings


class Mark(NamedTuple):
    """What healthy runs come to, in shares of real images: coverage, and variance inside classes,
    of which more than real images have is not asked.
    """

    coverage: float = 1.0
    spread: float = 1.0


def truth_of(cell: Cell, mark: Mark, became: int) -> tuple[Truth, int | None]:
    """`collapsed` with its onset, `healthy`, or `neither`.

    A reading is good when the judge finds all classes, at least 0.7 of the mark's coverage and 0.3
    of that of real images, and 0.6 of the mark's variance inside classes: two images of each class
    may well cover the half. A run made to collapse has done so when three readings in a row are not
    good, from where it began or from where healthy runs of its dataset are good (`became`),
    whichever is later. A healthy run is good from there on.
    """
    clocks = [int(clock) for clock, _ in cell["series"]]
    since = max(became, cell["start"] + 1)
    bad = [
        clock >= since and not good(judged, mark)
        for clock, judged in zip(clocks, cell["truth"], strict=True)
    ]
    for n in range(len(bad) - LASTING + 1):
        if all(bad[n : n + LASTING]):
            return ("collapsed", clocks[n]) if cell["collapses"] else ("neither", None)
    return ("neither", None) if cell["collapses"] or any(bad[-LASTING:]) else ("healthy", None)


def good(judged: dict[str, float], mark: Mark) -> bool:
    varied = judged["spread"] >= SPREAD * mark.spread
    enough = judged["coverage"] >= max(GOOD * mark.coverage, LEAST)
    return enough and judged["classes"] >= 1 and varied


def marked(cells: Iterable[Cell]) -> Mark:
    """What healthy runs from scratch come to: medians of their last readings; 1 without any."""
    last = [cell["truth"][-1] for cell in cells if _sets_the_mark(cell)]
    if not last:
        return Mark()
    spread = median(judged["spread"] for judged in last)
    return Mark(median(judged["coverage"] for judged in last), min(spread, 1.0))


def becomes_good(cells: Iterable[Cell], mark: Mark) -> int:
    """The clock at which nine in ten healthy runs from scratch have become good; 0 without any."""
    found = []
    for cell in cells:
        if _sets_the_mark(cell):
            pairs = zip(cell["series"], cell["truth"], strict=True)
            found.append(next((int(at[0]) for at, told in pairs if good(told, mark)), math.inf))
    known = sorted(clock for clock in found if clock < math.inf)
    return int(known[min(len(known) - 1, math.ceil(0.9 * len(known)) - 1)]) if known else 0


def _sets_the_mark(cell: Cell) -> bool:
    return not cell["collapses"] and not cell["start"]
