"""Ctrl-C and SIGTERM once: in order, with 130. Twice: at once."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

WAIT = """
def wait():  # in steps: a signal that comes just before a long sleep begins is seen after it only
    for _ in range(1200):
        time.sleep(0.05)
"""
PROGRAM = (
    "import sys, time"
    + WAIT
    + """
from ganlib.cli import interruption
try:
    with interruption.orderly():
        try:
            print("ready", flush=True)
            wait()
        finally:
            print("closing", flush=True)
            {after}
            print("closed", flush=True)
except KeyboardInterrupt:
    sys.exit(interruption.EXIT)
"""
)


def start(after: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(after=after)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_unwinds(number: signal.Signals) -> None:
    process = start("pass")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert out == "closing\nclosed\n"
    assert process.returncode == 130
    assert "once more to stop at once" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_ends_at_once(number: signal.Signals) -> None:
    process = start("wait()")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "closing\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert "closed" not in out
    assert process.returncode == 130


STOLEN = (
    "import signal, sys, time"
    + WAIT
    + """
from ganlib.cli import interruption
try:
    with interruption.orderly():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        {body}
except KeyboardInterrupt:
    print("in order", flush=True)
    sys.exit(interruption.EXIT)
"""
)
BODIES = {
    "as it is": "print('ready', flush=True); wait()",
    "wrapped": """
        try:
            print('ready', flush=True); wait()
        except BaseException as error:
            raise RuntimeError("a library failed") from error""",
    "swallowed": """
        class Dropped:
            def __del__(self):
                print('ready', flush=True); wait()
        Dropped()
        wait()""",
}


@pytest.mark.parametrize("how", BODIES)
def test_a_signal_that_a_library_took_ends_in_order_all_the_same(how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STOLEN.format(body=BODIES[how])],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert out == "in order\n"
    assert process.returncode == 130
