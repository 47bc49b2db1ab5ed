"""A node of a real Ray is given notice: what was trained is saved, and goes on elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ganlib.bench.ray_nodes import BIN, Nodes, ray_nodes
from ganlib.config import Budget, Cadence
from ganlib.data import Dataset
from ganlib.training import read_journal
from tests.cluster.conftest import small_gan, spec_of
from tests.cluster.test_fit import told
from tests.cluster.tiny import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NEVER = Cadence(report=320, evaluate=10**9, sample=10**9, snapshot=10**9)
NOTICE_S = 100


def ranks(nodes: Nodes) -> list[dict[str, Any]]:
    """The living actors that train."""
    found = nodes.ask("/api/v0/actors?detail=true&limit=1000")["data"]["result"]["result"]
    return [one for one in found
            if one["state"] == "ALIVE" and "TrainWorker" in one["class_name"]]  # fmt: skip


def drain(nodes: Nodes, node: str) -> None:
    """As an autoscaler does for a cloud that takes a machine back."""
    command = ["drain-node", f"--address={nodes.gcs}", f"--node-id={node}"]
    command += ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=spot"]
    command += [f"--deadline-remaining-seconds={NOTICE_S}"]
    env = {**os.environ, **nodes.client()}
    subprocess.run([str(BIN / "ray"), *command], env=env, check=True, timeout=120)


def test_a_node_that_is_taken_back_leaves_a_snapshot_and_training_goes_on(
    digits: Dataset, tmp_path: Path
):
    config = small_gan(budget=Budget(images=10**9), cadence=NEVER)
    spec = told(spec_of(config, digits, tmp_path / "run"), tmp_path / "spool")
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    with ray_nodes(1, 1, 1) as nodes:
        env = {**os.environ, **nodes.client(), "RAY_ADDRESS": nodes.gcs}
        command = [sys.executable, "-m", "tests.cluster.driver", "pair", str(tmp_path)]
        with (tmp_path / "driver.log").open("wb") as log:
            driver = subprocess.Popen(command, env=env, stdout=log, stderr=log)

        def waiting(true: Any, seconds: float = 240.0) -> None:
            def so() -> bool:
                assert driver.poll() is None, (tmp_path / "driver.log").read_text()
                return bool(true())

            until(so, seconds)

        try:
            waiting(lambda: "train/" in text(tmp_path / "spool" / "run.jsonl"))
            before = {one["node_id"] for one in ranks(nodes)}
            assert len(before) == 2
            going = next(iter(before - {ranks(nodes)[0]["node_id"]}))
            drain(nodes, going)
            given = time.monotonic()
            snapshots = tmp_path / "run" / "snapshots"
            waiting(lambda: any(snapshots.glob("*/meta.json")), NOTICE_S)
            (kept,) = snapshots.glob("*/meta.json")
            clock = int(kept.parent.name)
            assert clock
            assert clock % 320 == 0
            waiting(lambda: f"resumed at {clock} images" in text(tmp_path / "spool" / "run.jsonl"))
            assert time.monotonic() - given < NOTICE_S  # nobody waited for the machine to go
            places = {one["node_id"] for one in ranks(nodes)}
            assert len(places) == 2
            assert going not in places
            waiting(lambda: newest(tmp_path / "spool" / "run.jsonl") > clock)
        finally:
            driver.terminate()
            driver.wait(60)


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def newest(journal: Path) -> int:
    """The clock of the last reading since it was resumed."""
    lines = list(read_journal(journal))
    resumed = max(n for n, line in enumerate(lines) if "resumed" in str(line.get("text")))
    return max((line["clock"] for line in lines[resumed:] if line["kind"] == "metrics"), default=0)
