"""When to stop before the budget is used up, and whether play has stalled: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from ganlib.collapse.detector import BLIND, WON
from ganlib.config import Plateau

Reading = tuple[int, dict[str, float]]


def on_plateau(series: Sequence[Reading], plateau: Plateau) -> bool:
    """Whether coverage rose by less than `min_delta` over the last `patience` evaluations."""
    if not series or series[-1][0] < plateau.min_images:
        return False
    coverage = [readings["coverage"] for _, readings in series if "coverage" in readings]
    before, last = coverage[: -plateau.patience], coverage[-plateau.patience :]
    return bool(before) and max(last) < max(before) + plateau.min_delta


PATIENCE = 3
SILENT = 1e-3
PROGRESS = 0.005
GOOD = 0.5

Stall = Literal["", "stalled (discriminator won)", "stalled (discriminator blind)"]


def stalled(play: Sequence[Reading], series: Sequence[Reading]) -> Stall:
    """Whether the last `PATIENCE` evaluations saw two players that teach each other nothing.

    `play` holds, at the clock of each evaluation, the means since the last report before it of
    `win_rate` (the share of pairs in which the real image has the higher logit) and of
    `slope_generator` (the norm of the generator's gradient). The discriminator has won when it
    tells nearly every pair apart, and is blind when it tells none, each time while coverage neither
    is that of half the real images nor on average higher than over as many evaluations before.
    Without coverage in `series` a winner also has to have silenced the generator's gradient, and a
    blind one to have been so from its first evaluation: at the end of healthy play the pairs are
    even as well. Nothing is said of fewer than twice `PATIENCE` evaluations.
    """
    known = [(clock, found) for clock, found in play if "win_rate" in found]
    if len(known) < 2 * PATIENCE:
        return ""
    rates = [found["win_rate"] for _, found in known[-PATIENCE:]]
    won, blind = min(rates) >= WON, max(abs(rate - 0.5) for rate in rates) <= BLIND
    if not (won or blind):
        return ""
    at = dict(series)
    coverage = [at[clock]["coverage"] for clock, _ in known if "coverage" in at.get(clock, {})]
    if coverage:
        before, now = coverage[-2 * PATIENCE : -PATIENCE], coverage[-PATIENCE:]
        if not before or max(now) >= GOOD or fmean(now) > fmean(before) + PROGRESS:
            return ""
    elif won:
        slopes = [found["slope_generator"] for _, found in known]
        if max(slopes[-PATIENCE:]) > SILENT * max(slopes):
            return ""
    elif any(abs(found["win_rate"] - 0.5) > BLIND for _, found in known):
        return ""
    return "stalled (discriminator won)" if won else "stalled (discriminator blind)"
