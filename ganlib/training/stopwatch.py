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
        self.before = 0.0
        # A damaged file costs no more than the minutes it held.
        with suppress(FileNotFoundError, Damaged, KeyError, TypeError, ValueError):
            self.before = float(read_json(path)["seconds"])

    def minutes(self) -> float:
        return (self.before + time.monotonic() - self.begun) / 60

    def pause(self) -> None:
        """Training stops here for a moment of evaluating, sampling or saving."""
        self.training += time.monotonic() - self.resumed

    def resume(self) -> None:
        self.resumed = time.monotonic()

    def speed(self, clock: int) -> float:
        """Images a second of training since the last call."""
        images, seconds = clock - self.clock, self.training
        self.clock, self.training = clock, 0.0
        return images / max(seconds, 1e-9)

    def save(self) -> None:
        write_json(self.path, {"seconds": round(60 * self.minutes(), 3)})
