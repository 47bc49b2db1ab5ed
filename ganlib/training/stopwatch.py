"""Wall time, kept out of everything that must repeat: speed to tell, and a limit to stop at."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from ganlib.errors import Damaged
from ganlib.storage import read_json, write_json


class Stopwatch:
    """Time over all attempts of a run, as remembered in `path`, and speed in images a second."""

    def __init__(self, path: Path, clock: int) -> None:
        self.path, self.clock = path, clock
        self.begun = self.resumed = time.monotonic()
        self.training = 0.0
        self.before, self.stood = 0.0, 0.0
        # A damaged file costs no more than the minutes it held.
        with suppress(FileNotFoundError, Damaged, KeyError, TypeError, ValueError):
            told = read_json(path)
            self.before, self.stood = float(told["seconds"]), float(told.get("stood_s", 0.0))
        self.paused: float | None = None

    def minutes(self) -> float:
        return (self.before + time.monotonic() - self.begun) / 60

    def pause(self) -> None:
        """Training stops here for a moment of evaluating, sampling or saving."""
        self.paused = time.monotonic()
        self.training += self.paused - self.resumed

    def resume(self) -> None:
        self.resumed = time.monotonic()
        if self.paused is not None:
            self.stood += self.resumed - self.paused
            self.paused = None

    def speed(self, clock: int) -> float:
        """Images a second of training since the last call."""
        images, seconds = clock - self.clock, self.training
        self.clock, self.training = clock, 0.0
        return images / max(seconds, 1e-9)

    def save(self, rank: int) -> None:
        """By rank 0; `stood_s` is for how long training has stood still at moments."""
        if rank:
            return
        told = {"seconds": round(60 * self.minutes(), 3), "stood_s": round(self.stood, 3)}
        write_json(self.path, told)
