"""Parts of work small enough to be seen through; Ray's workers import them by name."""

from __future__ import annotations

import os
import signal
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


def broken(number: int) -> int:
    return number // 0


def killed(number: int) -> int:
    """Whenever it is tried."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number
