"""Parts of work small enough to be seen through; Ray's workers import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ganlib.errors import ConfigError


def double(number: int) -> int:
    return 2 * number


def killed_once(folder: Path, number: int) -> int:
    """The first process that comes to number 3 is killed there."""
    if number == 3 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def refused(number: int) -> int:
    raise ConfigError(f"{number} is none", where="number", hint="take another")


def refused_beside(folder: Path, number: int) -> None:
    """One is refused while the other is at work, and goes on for long enough to be cancelled."""
    begun = folder / "begun"
    if number:
        begun.touch()
        time.sleep(1.0)
        (folder / "ended").touch()
        return
    while not begun.exists():
        time.sleep(0.01)
    refused(number)


def broken(number: int) -> int:
    return number // 0


def killed(number: int) -> int:
    """Whenever it is tried."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number
