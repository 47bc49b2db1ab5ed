"""What was decided on a model, as versions of `<name>-history`: the truth that aliases project.

MLflow has no compare-and-set, but it numbers versions under a unique key: whoever creates the next
version holds that number alone. An entry is open while its promotion is under way, and the lowest
open entry goes first.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ganlib.config import Config
from ganlib.tracking.gate import Evidence
from ganlib.tracking.registry import ensure_model, versions_of
from ganlib.training import process_started

if TYPE_CHECKING:
    from mlflow import MlflowClient

Outcome = Literal["promoted", "refused", "cannot_tell", "rolled_back"]
LEASE_S = 900.0
"""An open entry of another host counts as abandoned after so long."""


class Act(Config):
    """What an entry says once and for all. `version` is the one that was judged, or gone back to.

    `before` is the champion it was compared with. `asked` is the fingerprint of evidence and gate.
    """

    outcome: Outcome
    version: int
    before: int | None
    reasons: tuple[str, ...]
    asked: str = ""
    evidence: Evidence | None = None
    champion_evidence: Evidence | None = None
    owner: str
    at: float


@dataclass(frozen=True)
class Entry:
    """`verified`: its digest was checked, it was loaded and sampled; from here on it completes."""

    number: int
    state: Literal["open", "closed", "abandoned"]
    verified: bool
    act: Act


def history_name(name: str) -> str:
    return f"{name}-history"


def entries(client: MlflowClient, name: str) -> list[Entry]:
    """In order; versions that somebody else put there are passed over."""
    found = []
    for version in versions_of(client, history_name(name)):
        tags = version.tags
        if "ganlib.act" in tags:
            act = Act.model_validate_json(tags["ganlib.act"])
            verified = tags.get("ganlib.verified") == "true"
            found.append(Entry(int(version.version), tags["ganlib.state"], verified, act))
    return found


def champions(log: list[Entry]) -> list[int]:
    """Versions that were promoted and not rolled back from, the present champion last."""
    stack: list[int] = []
    for entry in log:
        if entry.state != "closed":
            continue
        if entry.act.outcome == "promoted":
            if stack[-1:] != [entry.act.version]:  # the champion itself, on new evidence
                stack.append(entry.act.version)
        elif entry.act.outcome == "rolled_back" and stack:
            stack.pop()
    return stack


def claim(client: MlflowClient, name: str, act: Act, *, verified: bool = False) -> Entry:
    """Take the next number; `verified` from the start where nothing has to be loaded."""
    ensure_model(
        client, history_name(name), f"Decisions on {name}, in order. Written by ganlib alone."
    )
    made = client.create_model_version(
        history_name(name),
        source=f"models:/{name}/{act.version}",
        tags={
            "ganlib.act": act.model_dump_json(),
            "ganlib.state": "open",
            "ganlib.verified": str(verified).lower(),
            "outcome": act.outcome,
            "version": str(act.version),
        },
        description=f"{act.outcome} version {act.version}: {'; '.join(act.reasons)}"[:5000],
    )
    return Entry(int(made.version), "open", verified, act)


def mark(client: MlflowClient, name: str, entry: Entry, key: str, value: str) -> None:
    """Set `state` or `verified` of an entry."""
    client.set_model_version_tag(history_name(name), str(entry.number), f"ganlib.{key}", value)


# -- who is at it --------------------------------------------------------------------------------

_active: set[str] = set()
_guard = threading.Lock()


@contextmanager
def owning() -> Iterator[str]:
    """A name for this call; it is alive until the call ends or the process dies."""
    pid = os.getpid()
    token = f"{socket.gethostname()} {pid} {process_started(pid)} {uuid.uuid4().hex[:8]}"
    with _guard:
        _active.add(token)
    try:
        yield token
    finally:
        with _guard:
            _active.discard(token)


def is_alive(entry: Entry) -> bool:
    """Whether somebody else is still at this open entry."""
    host, pid, started, _ = entry.act.owner.split()
    if host != socket.gethostname():
        return time.time() - entry.act.at < LEASE_S
    if int(pid) == os.getpid():
        with _guard:
            return entry.act.owner in _active
    return str(process_started(int(pid))) == started != "None"


def rows(log: list[Entry]) -> list[dict[str, Any]]:
    """One row per entry, with the metrics it was decided on."""
    return [
        {
            "number": entry.number,
            "state": entry.state,
            "outcome": entry.act.outcome,
            "version": entry.act.version,
            "before": entry.act.before,
            "at": entry.act.at,
            "reasons": "; ".join(entry.act.reasons),
            "judge": entry.act.evidence.judge if entry.act.evidence else "",
            "evidence": json.dumps(entry.act.evidence.metrics if entry.act.evidence else {}),
        }
        for entry in log
    ]
