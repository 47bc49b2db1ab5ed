"""A node of a real Ray is given notice: what was trained is saved, and goes on elsewhere."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from ganlib.bench.ray_nodes import BIN, Nodes, ray_nodes
from ganlib.config import Budget, Cadence
from ganlib.data import Dataset
from tests.cluster.conftest import small_gan
from tests.cluster.on_nodes import alive, driving, newest, notes, places

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NEVER = Cadence(report=320, evaluate=10**9, sample=10**9, snapshot=10**9)
NOTICE_S = 100


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
    with ray_nodes(1, 1) as nodes, driving(nodes, "range", config, digits, tmp_path) as waiting:
        waiting(lambda: newest(tmp_path) > 0)
        before = places(nodes)
        assert len(before) == 2
        going = next(node for node in before if not alive(nodes)[node])
        drain(nodes, going)
        given = time.monotonic()
        snapshots = tmp_path / "run" / "snapshots"
        waiting(lambda: any(snapshots.glob("*/meta.json")), NOTICE_S)
        (kept,) = snapshots.glob("*/meta.json")
        clock = int(kept.parent.name)
        assert clock > 0
        assert clock % 320 == 0
        waiting(lambda: f"resumed at {clock} images" in notes(tmp_path))
        assert time.monotonic() - given < NOTICE_S  # nobody waited for the machine to go
        assert places(nodes) == before - {going}
        waiting(lambda: newest(tmp_path) > clock)
