"""A real MLflow server that goes away and comes back: journals grow, nothing is lost or doubled."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ganlib.storage import Home
from ganlib.tracking import Writer, fetch, promote, register, run_of
from ganlib.tracking.connection import connect
from ganlib.training import Journal
from tests.tracking.conftest import picture
from tests.tracking.test_promotion import GATE, NAME, aliases, evidence, load, nothing
from tests.tracking.test_registry import generator_folder


class Server:
    """`mlflow server` on sqlite, on a port of its own."""

    def __init__(self, folder: Path, database: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.database = folder, database
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        store = f"sqlite:///{self.database}"
        artifacts = str(self.folder / "served-artifacts")
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--backend-store-uri", store, "--artifacts-destination", artifacts]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        env.pop("MLFLOW_TRACKING_URI", None)
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            command, env=env, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
        )
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(
    tmp_path: Path, home: Home, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    database = tmp_path / "server.db"
    database.write_bytes(migrated.read_bytes())
    server = Server(tmp_path, database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    yield server
    server.stop()


def test_an_outage_only_makes_journals_grow(
    home: Home, server: Server, journal: Callable[..., Journal], tmp_path: Path
) -> None:
    writer = Writer(home)
    writer.start()  # before there is any server
    run = journal("p-1")
    run.metrics(1, {"loss": 1.0})
    began = time.monotonic()
    assert not writer.drain(60)
    assert time.monotonic() - began < 45, "it says so instead of waiting for its time-out"
    assert writer.trouble
    server.start()
    assert writer.drain(60)
    server.stop()
    for clock in range(2, 200):
        run.metrics(clock, {"loss": 1.0 / clock})
    run.image(100, "samples", picture(3))
    run.close("FINISHED", "done", "It outlived its server.")
    assert run_of(home, "p-1")
    server.start()
    assert writer.drain(90)
    writer.stop()

    ref = run_of(home, "p-1")
    assert ref
    assert ref.url.startswith(server.uri)
    client = connect(home)
    found = client.get_run(ref.run_id)
    assert found.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(ref.run_id, "loss")] == list(range(1, 200))
    assert len(client.list_artifacts(ref.run_id, "images")) == 2

    # The registry and promotion over HTTP, whose server checks more than sqlite does.
    made = register(
        home,
        generator_folder(tmp_path / "g"),
        name=NAME,
        run_id=ref.run_id,
        metrics={},
        dataset_fingerprint="d",
        config={},
    )
    decision = promote(home, made, evidence(), GATE, reevaluate=nothing, load_and_sample=load)
    assert decision.outcome == "promoted"
    assert aliases(home) == {"champion": 1}
    assert fetch(home, f"{NAME}@champion", fresh=True).is_dir()
    kept = [item.path for item in client.list_artifacts(ref.run_id, "promotion")]
    assert kept == [f"promotion/{NAME}-1.json"]
