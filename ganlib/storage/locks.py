"""One at a time, and whoever waits is told for whom."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ganlib.errors import Busy, StorageError
from ganlib.storage import atomic


@contextmanager
def holding(
    path: Path,
    what: str,
    *,
    wait: float = 0.0,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the lock file `path` while doing `what`; the system frees it if the process dies.

    Waits up to `wait` seconds (-1: for ever) after telling `on_wait` who has it, then raises Busy.
    """
    owner = path.with_suffix(".owner")
    lock = FileLock(str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = _describe(owner)
            if wait and on_wait:
                on_wait(f"waiting for {holder}")
            try:
                lock.acquire(timeout=wait, poll_interval=0.2)
            except Timeout:
                raise Busy(
                    f"{what} is being done by {holder}",
                    where=str(path),
                    hint="wait for it, or stop it with ganlib cancel",
                ) from None
    except OSError as error:
        raise atomic.explain(error, path) from error
    try:
        atomic.write_json(
            owner,
            {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time(), "what": what},
        )
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _describe(owner: Path) -> str:
    try:
        found = atomic.read_json(owner)
        since = time.strftime("%H:%M:%S", time.localtime(found["since"]))
        return f"process {found['pid']} on {found['host']} since {since}"
    except (OSError, StorageError, KeyError, TypeError):
        return "another process"
