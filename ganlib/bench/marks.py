"""Processes found by what they inherited in their environment: a whole tree, orphans included."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def carrying(name: str, value: str) -> list[int]:
    """The living processes that have this variable with this value."""
    wanted = f"{name}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def kill_once(name: str, value: str) -> bool:
    """SIGKILL to all of them; whether there was any, since one may have forked meanwhile."""
    pids = carrying(name, value)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)
