"""Stopping a run and reading what it says."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ganlib.errors import InputError, NotFound
from ganlib.stages.status import runs
from ganlib.stages.values import Cancelled, RunStatus
from ganlib.storage import Home
from ganlib.training import RunIdentity, process_started, read_journal
from ganlib.training import follow as lines_after


def cancel(home: Home, run: str, *, wait_s: float) -> Cancelled:
    """SIGTERM, `wait_s` seconds of patience, SIGKILL; then dead runs get their true end.

    The Ray of a killed run is ended too.
    """
    found = find(home, run)
    how: Literal["asked", "killed", "was not running"] = "was not running"
    if found.state == "running":
        how = _stop(_owner(home, found.id), wait_s)
    from ganlib.cluster import end_leftovers
    from ganlib.tracking import reap

    end_leftovers(home.locks / "ray")
    reap(home)
    return Cancelled(run=found.id, state=find(home, found.id).state, how=how)


def find(home: Home, run: str) -> RunStatus:
    """The run of that id, or the only one whose id starts so. Raises NotFound naming others."""
    known = {status.id: status for status in runs(home)}
    if run in known:
        return known[run]
    starts = [name for name in known if run and name.startswith(run)]
    # The start of a pipeline's id is the start of all its stages' ids too: it means the pipeline.
    tops = [name for name in starts if known[name].parent is None]
    matches = tops or starts
    if len(matches) == 1:
        return known[matches[0]]
    hint = f"it could be {', '.join(matches[:4])}" if matches else "ganlib status lists all runs"
    raise NotFound(f"there is no run {run!r}", where=run, hint=hint)


def _owner(home: Home, run: str) -> RunIdentity:
    opens = [line for line in read_journal(home.spool / f"{run}.jsonl") if line["kind"] == "open"]
    return RunIdentity.model_validate(opens[-1]["identity"])


def _stop(owner: RunIdentity, wait_s: float) -> Literal["asked", "killed", "was not running"]:
    alive = owner.owner_alive()
    if alive is None:
        raise InputError(
            f"{owner.id} runs on {owner.host}", where=owner.id, hint="run ganlib cancel there"
        )
    if owner.pid == os.getpid():
        raise InputError(f"{owner.id} is this very process", where=owner.id, hint="interrupt it")
    try:
        handle = os.pidfd_open(owner.pid)
    except ProcessLookupError:
        return "was not running"
    try:
        # The handle is of whoever has the number now: only then is the start time worth asking.
        if not alive or process_started(owner.pid) != owner.started:
            return "was not running"
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if _ended(handle, wait_s):
            return "asked"
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        _ended(handle, 10.0)
        return "killed"
    except ProcessLookupError:
        return "asked"
    finally:
        os.close(handle)


def _ended(handle: int, wait_s: float) -> bool:
    return bool(select.select([handle], [], [], wait_s)[0])


def logs(home: Home, run: str, *, follow: bool) -> Iterator[str]:
    """Lines of the run and all below it in the order they were written, then the workers' logs."""
    top = _Top(find(home, run).id)
    offsets: dict[Path, int] = {}
    while True:
        over = top.over()  # asked before reading: what was written last is read too
        yield from _new_lines(home, top, offsets)
        if over or not follow:
            break
        if not top.closed:
            time.sleep(0.3)
    for path in _worker_logs(home, top.id):
        yield f"--- {path}"
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from (line.rstrip("\n") for line in file)


@dataclass
class _Top:
    """The run whose end is waited for, as its own journal tells it so far."""

    id: str
    owner: RunIdentity | None = None
    closed: bool = False

    def hear(self, line: dict[str, Any]) -> None:
        if line["kind"] == "open":
            self.owner, self.closed = RunIdentity.model_validate(line["identity"]), False
        elif line["kind"] == "close":
            self.closed = True

    def over(self) -> bool:
        """On another host it is believed to be alive, until somebody closes it."""
        return self.closed or (self.owner is not None and self.owner.owner_alive() is False)


def _new_lines(home: Home, top: _Top, offsets: dict[Path, int]) -> list[str]:
    fresh: list[tuple[float, str]] = []
    for path in sorted(home.spool.glob(f"{top.id}*.jsonl")):
        if path.stem != top.id and not path.stem.startswith(f"{top.id}."):
            continue
        name = path.stem.partition(".")[2] or path.stem
        for line, offset in lines_after(path, offsets.get(path, 0)):
            offsets[path] = offset
            if path.stem == top.id:
                top.hear(line)
            text = render(line)
            if text:
                when = time.strftime("%H:%M:%S", time.localtime(line["t"]))
                fresh.append((line["t"], f"{when} {name}: {text}"))
    return [text for _, text in sorted(fresh, key=lambda pair: pair[0])]


def render(line: dict[str, Any]) -> str:
    """One journal line as a person reads it; empty for what says nothing."""
    match line["kind"]:
        case "open":
            owner = line["identity"]
            return f"attempt {line['attempt']}, process {owner['pid']} on {owner['host']}"
        case "params" | "tags":
            return ", ".join(f"{name}={value}" for name, value in sorted(line["values"].items()))
        case "metrics":
            numbers = (f"{name} {value:.5g}" for name, value in sorted(line["values"].items()))
            return f"{line['clock']:,} images: {', '.join(numbers)}"
        case "image" | "table":
            return f"{line['kind']} {line['name']}: {line['path']}"
        case "artifact":
            return f"file {line['path']}"
        case "dataset":
            return f"dataset {line['name']} {line['fingerprint']}"
        case "note":
            return str(line["text"])
        case "close":
            return f"{line['status'].lower()}: {line['description'] or line['verdict']}"
        case _:
            return ""


def _worker_logs(home: Home, top: str) -> list[Path]:
    found: set[Path] = set()
    for path in home.spool.glob(f"{top}*.jsonl"):
        for line in read_journal(path):
            if line["kind"] == "open":
                place = line["identity"]["tags"].get("ganlib.folder")
                found.update(Path(place).glob("*.log") if place else ())
    return sorted(found)
