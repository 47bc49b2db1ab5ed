"""Ctrl-C and SIGTERM end a command in order; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

EXIT = 130
SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def orderly(words: str = "closing the runs") -> Iterator[None]:
    """Either signal raises KeyboardInterrupt in the main thread, once.

    What is running unwinds: journals are closed as KILLED, Ray is stopped, MLflow is told. The
    signal handlers from before are put back at the end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            at_once()
        _say(f"\ninterrupted: {words}; once more to stop at once\n")
        raise KeyboardInterrupt

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def at_once() -> None:
    """Leave without another word; the next command gives the runs their true end."""
    if sys.stderr.isatty():
        _say(SHOW_CURSOR)
    os._exit(EXIT)


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, text.encode())
