"""Runs whose process died without a word get their true end."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.errors import Busy
from ganlib.storage import Home, holding
from ganlib.tracking.runs import HEARTBEAT
from ganlib.training import Journal, RunIdentity, read_journal

if TYPE_CHECKING:
    from mlflow import MlflowClient

SILENT_S = 600.0
"""After so long without a line, a run of another host counts as dead."""


def reap(home: Home, *, wait: float = 0.0) -> list[str]:
    """Close the journals of dead owners as KILLED; returns their ids.

    An owner of this host is known by pid and start time, one of another host by its silence. Who
    is about to continue such a run waits for another that is at it: it must not be closed after.
    """
    reaped = []
    try:
        with holding(home.locks / "reap.lock", "closing dead runs", wait=wait):
            for path in sorted(home.spool.glob("*.jsonl")):
                identity = _dead_owner(path)
                if identity is None or _dead_owner(path) != identity:  # somebody continues it
                    continue
                sentence = (
                    f"Killed: process {identity.pid} on {identity.host} ended without a word."
                )
                Journal(path, identity).close("KILLED", "killed", sentence)
                reaped.append(path.stem)
    except Busy:
        pass  # somebody else is at it
    return reaped


def close_all(home: Home, run: str, sentence: str) -> list[str]:
    """Close what is open of a run and those below it, whose processes are known to be gone."""
    closed = []
    for path in sorted(home.spool.glob(f"{run}*.jsonl")):
        identity, _ = _unfinished(path)
        if identity is not None and (path.stem == run or path.stem.startswith(f"{run}.")):
            Journal(path, identity).close("KILLED", "killed", sentence)
            closed.append(path.stem)
    return closed


def reap_runs(home: Home, client: MlflowClient) -> list[str]:
    """End runs of this home that MLflow thinks RUNNING though their journal is gone and silent."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(
        experiments,
        filter_string=(
            f"attributes.status = 'RUNNING' and tags.`ganlib.home` = '{_quoted(home.root)}'"
        ),
        max_results=1000,
    )
    ended = []
    for run in found:
        journal = home.spool / f"{run.data.tags.get('ganlib.journal', '')}.jsonl"
        if not journal.exists() and _silent(run.data.tags.get(HEARTBEAT, "")):
            client.set_terminated(run.info.run_id, "KILLED")
            ended.append(str(run.info.run_id))
    return ended


def _dead_owner(path: Path) -> RunIdentity | None:
    identity, last = _unfinished(path)
    return identity if identity is not None and _is_dead(identity, last) else None


def _unfinished(path: Path) -> tuple[RunIdentity | None, float]:
    """Who answers for an open journal, and when it last spoke; none if it is closed."""
    identity: dict[str, Any] | None = None
    last = 0.0
    for line in read_journal(path):
        last = float(line.get("t", last))
        if line["kind"] == "open":
            identity = line["identity"]
        elif line["kind"] == "close":
            identity = None
    return (RunIdentity.model_validate(identity) if identity else None), last


def _is_dead(identity: RunIdentity, last: float) -> bool:
    alive = identity.owner_alive()
    return not alive if alive is not None else time.time() - last > SILENT_S


def _silent(heartbeat: str) -> bool:
    try:
        return time.time() - datetime.fromisoformat(heartbeat).timestamp() > SILENT_S
    except ValueError:
        return True


def _quoted(path: Path) -> str:
    return str(path).replace("'", "")
