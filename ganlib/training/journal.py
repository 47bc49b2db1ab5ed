"""What a run tells the world: a protocol, and the journal file that no outage can stop.

A journal is JSON lines, each `{"t": unix seconds, "kind": ..., ...}`:

    open      attempt, identity              metrics   clock, values {name: number}
    params    values                         image     clock, name, path
    tags      values                         artifact  path, folder
    dataset   name, fingerprint, uri         table     name, path
    note      text                           beat
    close     status, verdict, description

Paths of images and tables are relative to the journal's folder; those of artifacts are absolute.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field

from ganlib.config import Config
from ganlib.storage import atomic

Status = Literal["FINISHED", "FAILED", "KILLED"]


class RunIdentity(Config):
    """One run's name, place in the tree of runs, and the process that answers for it.

    `id` is the journal's file stem; `key` is `<pipeline id>/<stage key>/<trial>`; `images` is the
    budget. The owner is the process that closes the run, which need not be the one that trains.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    key: str
    parent_id: str | None = None
    experiment: str
    name: str
    stage: str
    tags: dict[str, str] = Field(default_factory=dict)
    images: int | None = None
    pid: int = Field(default_factory=os.getpid)
    started: float | None = Field(default_factory=lambda: process_started(os.getpid()))
    host: str = Field(default_factory=socket.gethostname)

    @property
    def owner(self) -> tuple[str, int, float | None]:
        return self.host, self.pid, self.started

    def owner_alive(self) -> bool | None:
        """Whether the owner still runs; none when it runs on another host."""
        if self.host != socket.gethostname():
            return None
        started = process_started(self.pid)
        return started is not None and self.started in (None, started)


def process_started(pid: int) -> float | None:
    """When `pid` started, in ticks since boot; none if there is no such process or it is a zombie.

    With the pid it names a process for good: pids are used again, pairs are not.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _signalled(pid)
    except OSError:
        return None
    fields = after_name.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else float(fields[19])


def _signalled(pid: int) -> float | None:
    """Where there is no /proc: 0.0 for any living process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0.0
    return 0.0


class Tracker(Protocol):
    """Where readings go; nothing here may block or raise for the sake of a server."""

    def params(self, values: Mapping[str, Any]) -> None: ...

    def tags(self, values: Mapping[str, str]) -> None: ...

    def metrics(self, clock: int, values: Mapping[str, float]) -> None: ...

    def image(self, clock: int, name: str, png: bytes) -> None: ...

    def artifact(self, path: Path, folder: str = "") -> None: ...

    def table(self, name: str, rows: list[dict[str, Any]]) -> None: ...

    def dataset(self, name: str, fingerprint: str, uri: str) -> None: ...

    def note(self, text: str) -> None: ...

    def beat(self) -> None:
        """Still alive, with nothing to say."""

    def close(self, status: Status, verdict: str = "", description: str = "") -> None: ...


class NullTracker:
    """Says nothing."""

    def params(self, values: Mapping[str, Any]) -> None: ...

    def tags(self, values: Mapping[str, str]) -> None: ...

    def metrics(self, clock: int, values: Mapping[str, float]) -> None: ...

    def image(self, clock: int, name: str, png: bytes) -> None: ...

    def artifact(self, path: Path, folder: str = "") -> None: ...

    def table(self, name: str, rows: list[dict[str, Any]]) -> None: ...

    def dataset(self, name: str, fingerprint: str, uri: str) -> None: ...

    def note(self, text: str) -> None: ...

    def beat(self) -> None: ...

    def close(self, status: Status, verdict: str = "", description: str = "") -> None: ...


class MemoryTracker:
    """Keeps every line as a dictionary, pictures and rows included: for tests and notebooks."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def params(self, values: Mapping[str, Any]) -> None:
        self.lines.append({"kind": "params", "values": dict(values)})

    def tags(self, values: Mapping[str, str]) -> None:
        self.lines.append({"kind": "tags", "values": dict(values)})

    def metrics(self, clock: int, values: Mapping[str, float]) -> None:
        self.lines.append({"kind": "metrics", "clock": clock, "values": dict(values)})

    def image(self, clock: int, name: str, png: bytes) -> None:
        self.lines.append({"kind": "image", "clock": clock, "name": name, "png": png})

    def artifact(self, path: Path, folder: str = "") -> None:
        self.lines.append({"kind": "artifact", "path": str(path), "folder": folder})

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.lines.append({"kind": "table", "name": name, "rows": rows})

    def dataset(self, name: str, fingerprint: str, uri: str) -> None:
        line = {"kind": "dataset", "name": name, "fingerprint": fingerprint, "uri": uri}
        self.lines.append(line)

    def note(self, text: str) -> None:
        self.lines.append({"kind": "note", "text": text})

    def beat(self) -> None:
        self.lines.append({"kind": "beat"})

    def close(self, status: Status, verdict: str = "", description: str = "") -> None:
        line = {"kind": "close", "status": status, "verdict": verdict, "description": description}
        self.lines.append(line)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one kind, in order."""
        return [line for line in self.lines if line["kind"] == kind]


class Journal:
    """A tracker that appends to a file; several processes of one owner may hold it at once.

    A new owner (a restart) opens the next attempt; a second holder of the same owner opens none.
    Each line is one write, so a kill tears at most the last one, which readers pass over. A full
    disk may tear one too; the next line then begins anew.
    """

    def __init__(self, path: Path, identity: RunIdentity) -> None:
        self.path = path
        self.identity = identity
        self._torn = False
        path.parent.mkdir(parents=True, exist_ok=True)
        attempt, same_owner = _last_attempt(path, identity)
        self.attempt = attempt if same_owner else attempt + 1
        self._torn = _torn(path)
        if self._torn:
            self._write(b"")
        if not same_owner:
            told = identity.model_dump(mode="json")
            self._append({"kind": "open", "attempt": self.attempt, "identity": told})

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps({"t": round(time.time(), 3), **line}, separators=(",", ":"))
        self._write(text.encode() + b"\n")

    def _write(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        try:
            with self.path.open("ab", buffering=0) as file:
                written = file.write(data)
        except OSError as error:
            raise atomic.explain(error, self.path) from error
        self._torn = written != len(data) and (written > 0 or self._torn)
        if written != len(data):
            raise atomic.explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self.path)

    def params(self, values: Mapping[str, Any]) -> None:
        self._append({"kind": "params", "values": dict(values)})

    def tags(self, values: Mapping[str, str]) -> None:
        self._append({"kind": "tags", "values": dict(values)})

    def metrics(self, clock: int, values: Mapping[str, float]) -> None:
        self._append({"kind": "metrics", "clock": clock, "values": dict(values)})

    def image(self, clock: int, name: str, png: bytes) -> None:
        path = self._beside(f"{name.replace('/', '-')}-{clock:012d}.png", png)
        self._append({"kind": "image", "clock": clock, "name": name, "path": path})

    def artifact(self, path: Path, folder: str = "") -> None:
        self._append({"kind": "artifact", "path": str(path.absolute()), "folder": folder})

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        path = self._beside(f"{name.replace('/', '-')}.json", json.dumps(rows).encode())
        self._append({"kind": "table", "name": name, "path": path})

    def dataset(self, name: str, fingerprint: str, uri: str) -> None:
        line = {"kind": "dataset", "name": name, "fingerprint": fingerprint, "uri": uri}
        self._append(line)

    def note(self, text: str) -> None:
        self._append({"kind": "note", "text": text})

    def beat(self) -> None:
        self._append({"kind": "beat"})

    def close(self, status: Status, verdict: str = "", description: str = "") -> None:
        line = {"kind": "close", "status": status, "verdict": verdict, "description": description}
        self._append(line)

    def _beside(self, name: str, data: bytes) -> str:
        """The file is whole before a line names it."""
        atomic.write_bytes(self.path.parent / self.path.stem / name, data)
        return f"{self.path.stem}/{name}"


def _torn(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _last_attempt(path: Path, identity: RunIdentity) -> tuple[int, bool]:
    """The number of the last attempt, and whether it is this owner's and still open."""
    attempt, owner, closed = 0, None, True
    for line in read_journal(path):
        if line["kind"] == "open":
            attempt, closed = int(line["attempt"]), False
            owner = RunIdentity.model_validate(line["identity"]).owner
        elif line["kind"] == "close":
            closed = True
    return attempt, owner == identity.owner and not closed


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The lines so far; a torn line is passed over, a missing file has none."""
    for line, _ in follow(path, 0):
        yield line


def follow(path: Path, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The whole lines from byte `offset` on, each with the offset after it: where to go on."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for raw in file:
            if not raw.endswith(b"\n"):
                return  # still being written, or torn
            offset += len(raw)
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            if isinstance(line, dict) and "kind" in line:
                yield line, offset
