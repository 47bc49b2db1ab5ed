"""So many CPU-seconds for a training run, over all the attempts it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ganlib.errors import Damaged
from ganlib.storage import open_store, read_json, write_json
from ganlib.training.loop import Moment, Report
from ganlib.training.snapshots import Snapshots


class Allowance:
    """What was spent is written beside each report, so that the newest snapshot knows its own.

    The processor time of the whole process counts from here on: one run at a time. `moment` and
    `used_up` are what `execute` calls.
    """

    def __init__(
        self,
        run_folder: Path,
        seconds: float,
        now: Callable[[], float] = time.process_time,
    ) -> None:
        self.path, self.seconds, self.now = run_folder / "cpu.json", seconds, now
        self.at: dict[int, float] = {0: 0.0}
        # A damaged file costs no more than the seconds it held.
        with suppress(FileNotFoundError, Damaged, AttributeError, TypeError, ValueError):
            self.at |= {int(clock): float(spent) for clock, spent in read_json(self.path).items()}
        kept = Snapshots(open_store(str(run_folder / "snapshots"))).clocks()
        start = max(clock for clock in self.at if clock <= max(kept, default=0))
        self.at = {clock: spent for clock, spent in self.at.items() if clock <= start}
        self.begun = self.now() - self.at[start]

    def moment(self, moment: Moment) -> None:
        """There is a report before any snapshot of the same clock."""
        if isinstance(moment, Report):
            self.at[moment.clock] = self.now() - self.begun
            write_json(self.path, {str(clock): spent for clock, spent in self.at.items()})

    def used_up(self, clock: int) -> bool:
        """Whether another stretch as long as the last one would be too much."""
        before = max(other for other in self.at if other < clock)
        return 2 * self.at[clock] - self.at[before] > self.seconds
