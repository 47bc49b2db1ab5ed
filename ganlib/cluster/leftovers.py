"""Ray processes whose driver died: written down while they live, found again and ended.

A process is ours if its pid and start time are written down, if it descends from such a one, or if
it carries the session's mark in its environment. Nothing is ever matched by its name.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlib.errors import Damaged
from ganlib.storage import atomic
from ganlib.training import process_started

MARK = "GANLIB_RAY_SESSION"
QUIET_S = 0.3


def records_folder(log: Path) -> Path:
    """Where sessions are written down: in the home that `log` lies in, or else beside it."""
    for folder in log.absolute().parents:
        if (folder / "home.json").is_file():
            return folder / "locks" / "ray"
    return log.absolute().parent


@dataclass
class Footprint:
    """One local Ray: its mark, first processes as (pid, start), folder of sockets and logs."""

    path: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    processes: list[tuple[int, float]] = field(default_factory=list)
    session: str | None = None

    @classmethod
    def in_folder(cls, folder: Path) -> Footprint:
        found = cls(folder)
        found.path = folder / f"ray-{found.mark}.json"
        return found

    def write(self, pids: Iterable[int]) -> None:
        """Called once before Ray starts, with no pids: the mark alone finds what came up since."""
        starts = ((pid, process_started(pid)) for pid in pids)
        self.processes = [(pid, start) for pid, start in starts if start is not None]
        told = {
            "mark": self.mark,
            "host": socket.gethostname(),
            "owner": [os.getpid(), process_started(os.getpid())],
            "processes": self.processes,
            "session": self.session,
        }
        atomic.write_json(self.path, told)

    def end(self, grace_s: float = 3.0) -> list[int]:
        """End all that still lives of it and forget it; the pids that had to be ended."""
        ended = end_processes(self.processes, self.mark, grace_s)
        if self.session is not None and Path(self.session).name.startswith("session_"):
            shutil.rmtree(self.session, ignore_errors=True)
        self.path.unlink(missing_ok=True)
        return ended


def end_leftovers(folder: Path) -> list[int]:
    """End the Ray processes written down in `folder` whose driver is dead; their pids."""
    ended: list[int] = []
    for path in sorted(folder.glob("ray-*.json")):
        try:
            told = atomic.read_json(path)
            owner, start = told["owner"]
            if told["host"] != socket.gethostname() or process_started(int(owner)) == start:
                continue
            processes = [(int(pid), float(began)) for pid, began in told["processes"]]
            footprint = Footprint(path, str(told["mark"]), processes, told["session"])
        except (Damaged, FileNotFoundError, KeyError, TypeError, ValueError):
            path.unlink(missing_ok=True)
            continue
        ended.extend(footprint.end(grace_s=0.0))
    return ended


def end_processes(
    processes: Iterable[tuple[int, float]], mark: str, grace_s: float = 3.0
) -> list[int]:
    """End these, their descendants and all that carry `mark`: asked first, after `grace_s` killed.

    Returns the pids that were alive. One look that finds none does not end the search: a process
    whose parent has just died and that is between fork and exec shows no mark for a moment.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + grace_s
    last_seen = time.monotonic()
    while True:
        alive = _alive(processes, mark)
        seen.update(alive)
        now = time.monotonic()
        for pid in alive:
            _send(pid, signal.SIGKILL if now >= deadline else signal.SIGTERM)
        last_seen = now if alive else last_seen
        if now - last_seen >= QUIET_S or now >= deadline + 10.0:
            return sorted(seen)
        time.sleep(0.05)


def _alive(processes: Iterable[tuple[int, float]], mark: str) -> set[int]:
    roots = {pid for pid, start in processes if process_started(pid) == start}
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        if pid == os.getpid() or process_started(pid) is None:
            continue
        parents[pid] = _parent(entry)
        if _carries(entry, mark):
            roots.add(pid)
    while True:
        below = {pid for pid, parent in parents.items() if parent in roots} - roots
        if not below:
            return roots
        roots |= below


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _carries(entry: Path, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def describe(session: Any) -> list[int]:
    """The pids of the processes a ray node has started."""
    return [process.pid for _, process in session.live_processes()]
