"""What is said of a run, and how it is told in words."""

from __future__ import annotations

from typing import Literal

from ganlib.config import Config

State = Literal["healthy", "warming_up", "suspect", "collapsed", "stalled", "recovered", "diverged"]


class Verdict(Config):
    """`signals` are what speaks for it, strongest first, `since` the clock of the first of them.

    Of a healthy run there are none, and of one that warms up those that are not inside yet.
    """

    state: State
    signals: tuple[str, ...] = ()
    since: int | None = None

    def __str__(self) -> str:
        """`collapsed (features/coverage, pixels/repeated) since 40,000 images`."""
        told = self.state.replace("_", " ")
        if self.signals:
            told += f" ({', '.join(self.signals[:3])})"
        return told if self.since is None else f"{told} since {self.since:,} images"


HEALTHY = Verdict(state="healthy")
WARMING_UP = Verdict(state="warming_up")
