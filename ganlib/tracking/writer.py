"""The one writer of a home: a thread that drains all journals into MLflow, whatever MLflow does.

Every process that runs ganlib starts one; the one that holds `HOME/locks/writer.lock` leads and the
others stand by. An outage only makes journals grow: nothing here raises into a run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganlib.errors import Busy, GanlibError
from ganlib.storage import Home, holding
from ganlib.tracking.connection import connect, tracking_uri
from ganlib.tracking.drain import Drain, progress_of, whole_lines
from ganlib.tracking.reaper import reap, reap_runs
from ganlib.tracking.system import SystemMetrics

log = logging.getLogger("ganlib.tracking")

POLL_S = 0.5
REAP_EVERY_S = 60.0
LONGEST_WAIT_S = 15.0
TRIES_BEFORE_DRAIN_GIVES_UP = 2


class Writer:
    """A daemon thread; `start` returns at once, also when MLflow is away or being set up."""

    def __init__(self, home: Home, uri: str | None = None) -> None:
        self.home = home
        self.uri = uri or tracking_uri(home)
        self.trouble = ""
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="ganlib-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the call in progress; what was not sent waits in the journals."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def drain(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that journals hold now is in MLflow, through whichever process leads.

        False when it is not after `timeout_s`, or as soon as this writer finds MLflow away.
        """
        failures = self._failures
        end = time.monotonic() + timeout_s
        targets = {p.stem: whole_lines(p) for p in self.home.spool.glob("*.jsonl")}
        self._wake.set()
        while True:
            targets = {
                journal_id: target
                for journal_id, target in targets.items()
                if progress_of(self.home, journal_id).offset < target
            }
            if not targets:
                return True
            away = self._failures - failures >= TRIES_BEFORE_DRAIN_GIVES_UP
            if away or time.monotonic() > end or not self._thread.is_alive():
                return False
            time.sleep(0.05)

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with holding(self.home.locks / "writer.lock", "writing to MLflow"):
                    self._lead()
            except Busy:
                self._pause(POLL_S)
            except Exception as error:
                self._fail(error)

    def _lead(self) -> None:
        client = connect(self.home, self.uri)
        drain = Drain(client, self.home, self.uri)
        system = SystemMetrics(client, self.home)
        reaped = float("-inf")
        while not self._stop.is_set():
            try:
                self._wake.clear()
                if time.monotonic() - reaped > REAP_EVERY_S:
                    reap(self.home)
                    reap_runs(self.home, client)
                    reaped = time.monotonic()
                busy = [drain.send_some(journal_id) for journal_id in drain.pending()]
                system.sample()
                self._failures, self.trouble = 0, ""
                if not any(busy):
                    self._pause(POLL_S)
            except Exception as error:
                self._fail(error)

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _fail(self, error: Exception) -> None:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not self.trouble:
            log.warning("MLflow does not answer, readings wait in %s: %s", self.home.spool, first)
        self.trouble = first
        self._failures += 1
        self._stop.wait(min(POLL_S * 2 ** min(self._failures, 8), LONGEST_WAIT_S))


_writers: dict[Path, tuple[Writer, int]] = {}
_guard = threading.Lock()


@contextmanager
def writing(home: Home, *, drain_s: float = 30.0) -> Iterator[Writer]:
    """The process's writer for `home`, shared by all who ask; the last to leave drains it."""
    with _guard:
        writer, users = _writers.get(home.root, (None, 0))
        if writer is None:
            writer = Writer(home)
            writer.start()
        _writers[home.root] = (writer, users + 1)
    try:
        yield writer
    finally:
        with _guard:
            _, users = _writers[home.root]
            last = users == 1
            if last:
                del _writers[home.root]
            else:
                _writers[home.root] = (writer, users - 1)
        if last:
            try:
                with suppress(GanlibError):  # who died while this ran ends with it
                    reap(home)
                writer.drain(drain_s)
            finally:
                writer.stop()
