"""`ganlib schedule serve`, driven over Prefect's HTTP as its page does it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ganlib.bench.marks import kill_once
from ganlib.errors import StageFailed

GANLIB = str(Path(sys.executable).parent / "ganlib")
MARK = "GANLIB_BENCH_SERVE"
BUSY_S = 60.0
"""Prefect's server answers 503 while its SQLite file is locked; the page asks again too."""
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Served:
    """A running `schedule serve`; `api` is its Prefect's."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.home, self.env = home, env
        self.api = ""
        self._mark = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Raises StageFailed when it ends before it answers."""
        self._mark = uuid.uuid4().hex
        with (self.home / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [GANLIB, "schedule", "serve", "--home", str(self.home), "--port", "0", "--json"],
                env={**self.env, MARK: self._mark},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise StageFailed("schedule serve ended", where="serve", hint=str(self.home))
        self.api = f"{json.loads(line)['result']['prefect']}/api"

    def power_cut(self) -> None:
        """SIGKILL to server, worker and the runs' own processes at once."""
        assert self._process is not None
        while kill_once(MARK, self._mark):
            self._process.poll()
        self._process.wait()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(60)
        self.power_cut()

    def ask(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.api}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        end = time.monotonic() + BUSY_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > end:
                    raise
            time.sleep(0.5)

    def begin(self, schedule: str) -> str:
        """A run of the schedule, now: its id."""
        deployment = self.ask(f"/deployments/name/scheduled/{schedule}")["id"]
        once = {"idempotency_key": uuid.uuid4().hex}
        return str(self.ask(f"/deployments/{deployment}/create_flow_run", once)["id"])

    def state(self, run: str) -> str:
        return str(self.ask(f"/flow_runs/{run}")["state"]["type"])

    def set_state(self, run: str, kind: str, name: str) -> None:
        """As a click in the page does it."""
        body = {"state": {"type": kind, "name": name}, "force": kind == "SCHEDULED"}
        self.ask(f"/flow_runs/{run}/set_state", body)

    def artifacts(self, run: str) -> list[dict[str, Any]]:
        body = {"artifacts": {"flow_run_id": {"any_": [run]}}}
        found: list[dict[str, Any]] = self.ask("/artifacts/filter", body)
        return found

    def until_over(self, run: str, seconds: float) -> str:
        waiting(lambda: self.state(run) in OVER, seconds, f"run {run} to end")
        return self.state(run)


@contextmanager
def served(home: Path, env: dict[str, str]) -> Iterator[Served]:
    serve = Served(home, env)
    try:
        serve.start()
        yield serve
    finally:
        serve.stop()


def environment(home: Path, more: dict[str, str]) -> dict[str, str]:
    """Ours, without servers of our own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "RAY_"))}
    return {**kept, **more, "GANLIB_HOME": str(home)}


def command(env: dict[str, str], *words: str) -> Any:
    """The result of a ganlib command; raises StageFailed with what it said."""
    done = subprocess.run([GANLIB, *words, "--json"], env=env, capture_output=True, text=True)
    if done.returncode:
        raise StageFailed(f"ganlib {words[0]} failed: {done.stderr[-2000:]}", where=words[0])
    return json.loads(done.stdout)["result"]


def waiting(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises StageFailed when it does not come to be."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise StageFailed(f"waited {seconds:.0f} s for {what}", where="ganlib bench cancel")
        time.sleep(0.2)
