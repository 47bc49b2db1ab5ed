"""A node of a real Ray is given notice: what was trained is saved, and goes on elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ganlib.bench.ray_nodes import INSTANCE, Nodes, ray_nodes
from ganlib.config import Budget, Cadence
from ganlib.data import Dataset
from tests.cluster.conftest import small_gan
from tests.cluster.on_nodes import alive, driving, newest, notes, places

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NEVER = Cadence(report=320, evaluate=10**9, sample=10**9, snapshot=10**9)
NOTICE_S = 100


@contextmanager
def notice(nodes: Nodes, number: int) -> Iterator[subprocess.Popen[bytes]]:
    """As Kubernetes gives it to a pod, by the hook of ours that infra/kubernetes names."""
    command = [sys.executable, "-m", "ganlib.cluster.notice", str(NOTICE_S)]
    env = {
        **os.environ,
        **nodes.client(),
        "RAY_ADDRESS": nodes.gcs,
        INSTANCE: nodes.instance(number),
    }
    hook = subprocess.Popen(command, env=env)
    try:
        yield hook
    finally:
        hook.kill()
        hook.wait()


def test_a_node_that_is_taken_back_leaves_a_snapshot_and_training_goes_on(
    digits: Dataset, tmp_path: Path
):
    config = small_gan(budget=Budget(images=10**9), cadence=NEVER)
    with ray_nodes(1, 1) as nodes, driving(nodes, "range", config, digits, tmp_path) as waiting:
        waiting(lambda: newest(tmp_path) > 0)
        before = places(nodes)
        assert len(before) == 2
        going = next(node for node in before if not alive(nodes)[node])
        given = time.monotonic()
        snapshots = tmp_path / "run" / "snapshots"
        with notice(nodes, 1) as hook:
            waiting(lambda: any(snapshots.glob("*/meta.json")), NOTICE_S)
            assert hook.wait(NOTICE_S) == 0  # the node has ended by itself
        waiting(lambda: going not in alive(nodes))
        (kept,) = snapshots.glob("*/meta.json")
        clock = int(kept.parent.name)
        assert clock > 0
        assert clock % 320 == 0
        waiting(lambda: f"resumed at {clock} images" in notes(tmp_path))
        assert time.monotonic() - given < NOTICE_S  # nobody waited for the machine to go
        assert places(nodes) == before - {going}
        waiting(lambda: newest(tmp_path) > clock)
