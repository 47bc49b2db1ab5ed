"""A signal that comes while a lock is held by hand waits until it is given back."""

from __future__ import annotations

import signal
import subprocess
import sys
import types

import pytest

from ganlib import signals

# The signal comes right after logging has taken its lock, before the `try` that gives it back.
PROGRAM = """
import logging, os, signal, sys, threading, time
from ganlib import signals
from ganlib.cli import interruption

take = logging._acquireLock
def acquire():
    take()
    logging._acquireLock = take
    os.kill(os.getpid(), signal.SIGTERM)

def log(name):
    logging.getLogger(name).isEnabledFor(logging.DEBUG)

def go():
    logging._acquireLock = acquire
    log("one")
    for _ in range(1200):
        time.sleep(0.05)

def raises(number, frame):
    sys.exit(number)

try:
    with interruption.orderly():
        {body}
except KeyboardInterrupt:
    other = threading.Thread(target=log, args=["other"], daemon=True)
    other.start()
    other.join(5)
    print("for ever" if other.is_alive() else "in order", flush=True)
    os._exit(interruption.EXIT)
"""
BODIES = {
    "ours": "go()",
    "a library's": """
        signal.signal(signal.SIGTERM, raises)
        with signals.careful():
            go()""",
}


def told(body: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 130, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="logging takes its lock in another way")
@pytest.mark.parametrize("handler", BODIES)
def test_no_lock_stays_behind(handler: str) -> None:
    assert told(BODIES[handler]) == "in order\n"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="logging takes its lock in another way")
def test_one_would_without_this() -> None:
    assert told("signal.signal(signal.SIGTERM, raises); go()") == "for ever\n"


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler of logging that waits for a full pipe would wait for ever too."""
    now = iter([0.0, 1.0, signals.PATIENCE_S + 0.1])
    monkeypatch.setattr(signals.time, "monotonic", lambda: next(now))
    calls: list[str] = []
    handler = signals.patient(
        lambda number, frame: calls.append("raised"), lambda number: calls.append("again")
    )
    frame = types.SimpleNamespace(f_globals={"__name__": "logging.handlers"}, f_back=None)
    for _ in range(3):
        handler(signal.SIGTERM, frame)  # type: ignore[arg-type]
    assert calls == ["again", "again", "raised"]


def test_without_anybody_to_deliver_later_a_handler_stays_as_it_is() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signals.careful():
        assert signal.getsignal(signal.SIGTERM) is before


STUCK = """
import os, signal, sys, threading
from ganlib.cli import interruption

interruption.STUCK_S = 0.2
lock = threading.Lock()
lock.acquire()
try:
    with interruption.orderly():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait()
        finally:
            lock.acquire()
except KeyboardInterrupt:
    print("let go", flush=True)
    os._exit(interruption.EXIT)
"""


def test_what_waits_for_a_lock_while_it_unwinds_is_interrupted_there() -> None:
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "let go\n"), done.stderr
