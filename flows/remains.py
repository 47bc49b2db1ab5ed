"""Flow runs whose process was killed: Prefect believes them running until somebody says otherwise.

Each run that begins in a home leaves a note of its process; the next one closes those whose process
is gone.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganlib.errors import StorageError
from ganlib.storage import read_json, write_json
from ganlib.training import process_started

logger = logging.getLogger("ganlib.flows")


@contextmanager
def noted(home: Path, flow_run_id: str | None) -> Iterator[None]:
    """Close what dead processes left, and leave our own note while the block lasts."""
    if flow_run_id is None:
        yield
        return
    folder = home / "prefect" / "running"
    note = folder / f"{flow_run_id}.json"
    try:
        bury(folder)
    except Exception as error:
        logger.warning("flow runs of dead processes could not be closed: %r", error)
    told = {
        "pid": os.getpid(),
        "started": process_started(os.getpid()),
        "host": socket.gethostname(),
    }
    write_json(note, told)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def bury(folder: Path) -> list[str]:
    """Crash the flow runs whose process is gone; their ids."""
    gone = [path for path in folder.glob("*.json") if _dead(path)]
    if not gone:
        return []
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    client: Any = get_client(sync_client=True)
    with client:
        for path in gone:
            try:
                run = client.read_flow_run(path.stem)
                if run.state is None or not run.state.is_final():
                    state = Crashed(message="Its process was killed; the next run continues it.")
                    client.set_flow_run_state(path.stem, state, force=True)
            except ObjectNotFound:
                pass  # of another server or a database that was deleted
            path.unlink(missing_ok=True)
    return [path.stem for path in gone]


def _dead(path: Path) -> bool:
    """A process on another host cannot be asked and counts as alive."""
    try:
        told = read_json(path)
    except (OSError, StorageError):
        return False
    if told.get("host") != socket.gethostname():
        return False
    return bool(process_started(int(told["pid"])) != told["started"])
