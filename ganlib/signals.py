"""Signals that become exceptions, at moments at which these leave no lock behind.

An exception out of a signal handler comes between any two bytecodes of the main thread. Between
taking a lock and the `try` that gives it back it leaves the lock held for ever, and the next thread
that logs or imports waits for ever too.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_S = 0.02
PATIENCE_S = 5.0
LOCKING = ("logging", "importlib._bootstrap")
"""Modules that take a lock of the whole process by hand."""

Handler = Callable[[int, FrameType | None], object]


class Postponed:
    """Delivers signals to this process again, `delay` seconds later; `sent` counts them."""

    def __init__(self, delay: float = AGAIN_S) -> None:
        self.delay, self.sent = delay, 0
        # Of all queues only this one may be used by a handler that interrupted its very use.
        self._numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._delivering, self._over = threading.Lock(), False
        self._thread = threading.Thread(target=self._deliver, name="ganlib-signals", daemon=True)
        self._thread.start()

    def again(self, number: int) -> None:
        self._numbers.put(number)

    def close(self) -> None:
        """What is still to be delivered is forgotten: nothing is left that it could interrupt."""
        with self._delivering:
            self._over = True
        self._numbers.put(None)

    def _deliver(self) -> None:
        while (number := self._numbers.get()) is not None:
            time.sleep(self.delay)
            with self._delivering:
                if not self._over:
                    self.sent += 1
                    os.kill(os.getpid(), number)


_postponed: Postponed | None = None


@contextmanager
def postponing() -> Iterator[Postponed]:
    """For this block `careful` has somebody to deliver a signal later. Main thread only."""
    global _postponed
    before, mine = _postponed, Postponed()
    _postponed = mine
    try:
        yield mine
    finally:
        _postponed = before
        mine.close()


@contextmanager
def careful(number: int = signal.SIGTERM) -> Iterator[None]:
    """The handler of `number` that is in place now waits while the main thread logs or imports.

    Nothing changes outside `postponing` and outside the main thread: whoever else starts a flow
    finds their own handler untouched.
    """
    if _postponed is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(number)
    if not callable(before):
        yield
        return
    mine = patient(before, _postponed.again)
    signal.signal(number, mine)
    try:
        yield
    finally:
        if signal.getsignal(number) is mine:
            signal.signal(number, before)


def patient(handler: Handler, again: Callable[[int], None]) -> Handler:
    """`handler`, called when no lock is in danger, or after five seconds of waiting for that."""
    since: list[float] = []

    def wait(number: int, frame: FrameType | None) -> object:
        now = time.monotonic()
        if takes_lock(frame) and now - (since or [now])[0] < PATIENCE_S:
            since[:] = since or [now]
            again(number)
            return None
        since.clear()
        return handler(number, frame)

    return wait


def takes_lock(frame: FrameType | None) -> bool:
    """Whether what was interrupted is below a module that takes locks by hand."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(LOCKING):
            return True
        frame = frame.f_back
    return False
