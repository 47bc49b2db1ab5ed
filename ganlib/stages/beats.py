"""Signs of life: a run of another host that says nothing for long is taken for dead."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ganlib.errors import GanlibError
from ganlib.training import Journal

EVERY_S = 60.0


@contextmanager
def beating(journals: Sequence[Journal], every_s: float = EVERY_S) -> Iterator[None]:
    """Each journal gets a line now and then while the block runs."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(every_s):
            for journal in journals:
                with suppress(GanlibError):  # a full disk is told by who has something to say
                    journal.beat()

    thread = threading.Thread(target=beat, name="ganlib-beats", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
