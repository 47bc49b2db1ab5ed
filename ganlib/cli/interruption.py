"""Ctrl-C and SIGTERM end a command in order; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from ganlib import signals

EXIT = 130
STUCK_S = 60.0
"""What has not unwound by then waits for a lock that its own interruption left behind."""
SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def orderly(words: str = "closing the runs") -> Iterator[None]:
    """Either signal raises KeyboardInterrupt in the main thread, once.

    What is running unwinds: journals are closed as KILLED, Ray is stopped, MLflow is told. The
    signal handlers from before are put back at the end. Ray and Prefect put handlers of their own
    in place for a while; what those raise comes out as KeyboardInterrupt too. One that arrives
    while the main thread logs or imports waits a moment (`ganlib.signals`). If the block has not
    ended 60 seconds later, it is interrupted once more where it waits, and then again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []
    owed: list[int] = []  # came once already, and are delivered again
    overdue: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if late.sent > len(overdue):
            overdue.append(number)
            late.again(number)
            raised(number, frame)
            return
        if owed:
            owed.clear()
            raised(number, frame)
            return
        seen.append(number)
        if len(seen) > 1:
            at_once()
        _say(f"\ninterrupted: {words}; once more to stop at once\n")
        late.again(number)
        raised(number, frame)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def again(number: int) -> None:
        owed.append(number)
        postponed.again(number)

    def swallowed(unraisable: sys.UnraisableHookArgs) -> None:
        """Raised inside a destructor or a weak reference's callback, where Python drops it."""
        if _from_signal(unraisable.exc_value):
            again(signal.SIGINT)
        else:
            hook(unraisable)

    before: dict[signal.Signals, Any] = {}
    hook = sys.unraisablehook
    late = signals.Postponed(STUCK_S)
    try:
        with signals.postponing() as postponed:
            raised = signals.patient(interrupt, again)
            sys.unraisablehook = swallowed
            for one in (signal.SIGINT, signal.SIGTERM):
                before[one] = signal.signal(one, handle)
            try:
                yield
            except BaseException as error:
                if not isinstance(error, KeyboardInterrupt) and is_one(error):
                    raise KeyboardInterrupt from error
                raise
    finally:
        late.close()
        sys.unraisablehook = hook
        for one, handler in before.items():
            signal.signal(one, handler)


def is_one(error: BaseException | None) -> bool:
    """Whether a signal is at the bottom of `error`: libraries wrap what goes through them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if _from_signal(error):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _from_signal(error: BaseException | None) -> bool:
    """Ours, Ray's SystemExit with the signal's number, or Prefect's TerminationSignal."""
    if isinstance(error, SystemExit):
        return error.code in (signal.SIGTERM, 128 + signal.SIGTERM)
    return isinstance(error, KeyboardInterrupt) or type(error).__name__ == "TerminationSignal"


def at_once() -> None:
    """Leave without another word; the next command gives the runs their true end."""
    if sys.stderr.isatty():
        _say(SHOW_CURSOR)
    os._exit(EXIT)


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, text.encode())
