"""Successive halving whose decisions do not depend on who arrives first.

ASHA (Li et al. 2020, algorithm 2) compares a trial with whoever reached the rung before it. Here
trial t is compared with the trials of lower number alone, and waits for those that have not come
yet: so the same sweep always stops the same trials, whatever the timing, and after a restart. It
waits on files in the sweep's folder, which any process of any machine may write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganlib.cluster.results import merit
from ganlib.config import SweepConfig
from ganlib.storage import atomic

POLL_S = 0.1
Merit = tuple[int, float]


def rung_clocks(config: SweepConfig) -> tuple[int, ...]:
    """The clocks, in images, at which trials are compared; all below the budget."""
    clocks, clock = [], config.asha.grace_images
    while clock < config.images:
        clocks.append(clock)
        clock *= config.asha.reduction
    return tuple(clocks)


def keeps(own: Merit | None, others: list[Merit | None], reduction: int) -> bool:
    """Whether the newcomer is among the best 1/reduction, rounded up, of itself and the others.

    `others` have lower numbers and win ties. Without a merit there is no place; the first to reach
    a rung goes on whatever it has.
    """
    if not others:
        return True
    if own is None:
        return False
    ahead = sum(1 for other in others if other is not None and other >= own)
    return ahead < -(-(len(others) + 1) // reduction)


class Rungs:
    """The rungs of one sweep, in `folder`."""

    def __init__(self, folder: Path, config: SweepConfig) -> None:
        self.folder = folder
        self.config = config
        self.clocks = rung_clocks(config)

    def stops(
        self,
        number: int,
        clock: int,
        readings: dict[str, float],
        *,
        ended: Callable[[int], bool],
        give_up: Callable[[], bool],
    ) -> bool:
        """Record what trial `number` has at `clock`, and say whether it stops here.

        `ended(n)` tells whether trial n will come to no further rung; `give_up()` ends the waiting
        without a decision. The same call after a restart gives the same answer.
        """
        for rung in self._due(number, clock):
            own = merit(readings, self.config)
            atomic.write_json(self._file(rung, number), {"clock": clock, "merit": own})
            others = []
            for lower in range(number):
                other = self._await(rung, lower, ended, give_up)
                if give_up():
                    return False
                others.extend(other)
            if not keeps(own, others, self.config.asha.reduction):
                return True
        return False

    def _due(self, number: int, clock: int) -> list[int]:
        """Rungs passed at `clock`: those not recorded, or recorded at this very clock before."""
        due = []
        for rung, least in enumerate(self.clocks):
            if clock < least:
                break
            found = self._read(rung, number)
            if found is None or found["clock"] == clock:
                due.append(rung)
        return due

    def _await(
        self,
        rung: int,
        lower: int,
        ended: Callable[[int], bool],
        give_up: Callable[[], bool],
    ) -> list[Merit | None]:
        """The merit of trial `lower` at `rung`; empty when it ended before it."""
        while True:
            over = ended(lower)  # before reading: it may write the rung and end in between
            found = self._read(rung, lower)
            if found is not None:
                told = found["merit"]
                return [None if told is None else (int(told[0]), float(told[1]))]
            if over or give_up():
                return []
            time.sleep(POLL_S)

    def _read(self, rung: int, number: int) -> dict[str, Any] | None:
        try:
            return dict(atomic.read_json(self._file(rung, number)))
        except FileNotFoundError:
            return None

    def _file(self, rung: int, number: int) -> Path:
        return self.folder / f"{rung:02d}" / f"{number:04d}.json"
