"""Megabytes of this process, by /proc alone: what `resource` tells begins with its parent's peak.

Linux carries the largest size of the process that called exec over to the program it became.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def held_mb() -> float:
    """Of memory, now."""
    return _told("VmRSS")


def peak_mb() -> float:
    """The most held since it began, or since `forget_peak`."""
    return _told("VmHWM")


def forget_peak() -> None:
    """Count the most held from here; a kernel that does not know how goes on counting."""
    with suppress(OSError):
        FORGET.write_text("5")


def _told(name: str) -> float:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"{STATUS} does not tell {name}")
