"""Flow runs whose process was killed: Prefect believes them running until somebody says otherwise.

Each run that begins in a home leaves a note of its process and touches it while it runs; the next
one closes those whose process is gone, or, on another host, has touched nothing for ten minutes.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ganlib.errors import StorageError
from ganlib.storage import read_json, write_json
from ganlib.training import process_started

logger = logging.getLogger("ganlib.flows")
BEAT_S = 30.0
SILENCE_S = 600.0


@contextmanager
def noted(home: Path, flow_run_id: str | None) -> Iterator[None]:
    """Close what dead processes left, and leave our own note while the block lasts."""
    if flow_run_id is None:
        yield
        return
    close_dead(home, flow_run_id)
    note = _folder(home) / f"{flow_run_id}.json"
    told = {
        "pid": os.getpid(),
        "started": process_started(os.getpid()),
        "host": socket.gethostname(),
    }
    write_json(note, told)
    over = threading.Event()
    threading.Thread(target=_beat, args=(note, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        note.unlink(missing_ok=True)


def close_dead(home: Path, mine: str) -> None:
    """Close what dead processes left; a server that cannot be told is no reason not to run.

    `mine` is the flow run that asks: tried again after a crash it finds a note of its own.
    """
    try:
        bury(_folder(home), mine)
    except Exception as error:
        logger.warning("flow runs of dead processes could not be closed: %r", error)


def _folder(home: Path) -> Path:
    return home / "prefect" / "running"


def _beat(note: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with suppress(OSError):  # the disk may be back at the next beat
            os.utime(note)


def bury(folder: Path, mine: str = "") -> list[str]:
    """Crash the flow runs whose process is gone, but for `mine`; their ids."""
    gone = [path for path in folder.glob("*.json") if path.stem != mine and _dead(path)]
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
    """A process on another host cannot be asked: its silence tells."""
    try:
        told = read_json(path)
        silent = time.time() - path.stat().st_mtime > SILENCE_S
    except (OSError, StorageError):
        return False
    if told.get("host") != socket.gethostname():
        return silent
    return bool(process_started(int(told["pid"])) != told["started"])
