"""A run of its own process on a real Ray of several nodes, and what is seen of it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganlib.bench.ray_nodes import Nodes
from ganlib.config import GanConfig
from ganlib.data import Dataset
from ganlib.training import read_journal
from tests.cluster.conftest import spec_of
from tests.cluster.test_fit import told
from tests.cluster.tiny import until

Waiting = Callable[..., None]


@contextmanager
def driving(
    nodes: Nodes, what: str, config: GanConfig, digits: Dataset, folder: Path
) -> Iterator[Waiting]:
    """`tests.cluster.driver WHAT`; gives what waits for something while that process lives."""
    spec = told(spec_of(config, digits, folder / "run"), folder / "spool")
    (folder / "spec.json").write_text(spec.model_dump_json())
    env = {**os.environ, **nodes.client(), "RAY_ADDRESS": nodes.gcs}
    command = [sys.executable, "-m", "tests.cluster.driver", what, str(folder)]
    with (folder / "driver.log").open("wb") as log:
        driver = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def waiting(true: Callable[[], Any], seconds: float = 240.0) -> None:
        def so() -> bool:
            is_so = bool(true())
            assert is_so or driver.poll() is None, (folder / "driver.log").read_text()
            return is_so

        until(so, seconds)

    try:
        yield waiting
    finally:
        driver.terminate()
        driver.wait(60)


def ranks(nodes: Nodes) -> list[dict[str, Any]]:
    """The living actors that train."""
    found = nodes.ask("/api/v0/actors?detail=true&limit=1000")["data"]["result"]["result"]
    return [one for one in found
            if one["state"] == "ALIVE" and "TrainWorker" in one["class_name"]]  # fmt: skip


def places(nodes: Nodes) -> set[str]:
    """The nodes that train."""
    return {one["node_id"] for one in ranks(nodes)}


def alive(nodes: Nodes) -> dict[str, bool]:
    """The nodes that are up, by id, and whether each is the head, which no test may take away."""
    found = [one["raylet"] for one in nodes.ask("/nodes?view=summary")["data"]["summary"]]
    return {one["nodeId"]: one["isHeadNode"] for one in found if one["state"] == "ALIVE"}


def journal(folder: Path) -> list[dict[str, Any]]:
    path = folder / "spool" / "run.jsonl"
    return list(read_journal(path)) if path.exists() else []


def notes(folder: Path) -> list[str]:
    return [line["text"] for line in journal(folder) if line["kind"] == "note"]


def newest(folder: Path) -> int:
    """The clock of the last reading since the run was resumed."""
    lines = journal(folder)
    resumed = max(
        (n for n, one in enumerate(lines) if "resumed" in str(one.get("text"))), default=0
    )
    return max((line["clock"] for line in lines[resumed:] if line["kind"] == "metrics"), default=0)
