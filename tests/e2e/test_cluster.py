"""Three nights of a team: cron, Ray jobs on two nodes, PostgreSQL, logins, S3 with signatures.

The stack of compose.yaml as plain processes, and Ray as two nodes of this machine. The home's
folder of data lies in the bucket, from where workers read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from ganlib.bench.ray_nodes import BIN, Nodes, ray_nodes
from tests.e2e.test_pipeline import TINY
from tests.infra.stack import PASSWORDS, VALUES, Stack, running_stack
from tests.infra.test_compose import SERVICES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

LOGIN = f"admin:{VALUES['PREFECT_PASSWORD']}"
POOL = "ganlib-cluster"
IMAGES = 1_500
MORE = 200
NIGHT_S = 900.0


@dataclass
class Team:
    stack: Stack
    nodes: Nodes
    home: Path
    env: dict[str, str]

    def ganlib(self, *words: str) -> Any:
        done = subprocess.run(
            ["ganlib", *words, "--json"], env=self.env, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["result"]

    def prefect(self, path: str, body: Any = None) -> Any:
        status, told = self.stack.ask(f"{self.env['PREFECT_API_URL']}{path}", body, LOGIN)
        assert status in (200, 201), (path, status)
        return told

    def ended(self) -> list[dict[str, Any]]:
        """The runs of the clock that came to an end and were not left out, oldest first."""
        kinds = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
        body = {
            "flow_runs": {"state": {"type": {"any_": kinds}}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return [one for one in self.prefect("/flow_runs/filter", body)
                if one["state_name"] != "Skipped"]  # fmt: skip

    def night(self, number: int) -> dict[str, str]:
        """Wait for the end of that run; its stages, each `done` or `reused`."""
        waiting(lambda: len(self.ended()) > number, NIGHT_S)
        run = self.ended()[number]
        log = self.stack.folder / "worker.log"
        assert run["state_name"] == "Completed", log.read_text()[-6000:]
        assert run["auto_scheduled"]
        body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
        (table,) = [one for one in self.prefect("/artifacts/filter", body)
                    if one["key"] == "ganlib-tiny-stages"]  # fmt: skip
        return {row["stage"]: row[""] for row in json.loads(table["data"])}

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.nodes.ask("/api/jobs/")
        return [one for one in found if one["submission_id"]]


def waiting(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.5)


def draw(folder: Path, numbers: range) -> None:
    """Real digits of scikit-learn's wheel as PNGs, one folder per class."""
    digits = load_digits()
    for number in numbers:
        place = folder / str(digits.target[number])
        place.mkdir(parents=True, exist_ok=True)
        pixels = (digits.images[number] * 15.9).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{number:04d}.png")


@contextmanager
def worker(team: Team) -> Iterator[None]:
    """Prefect's, as compose starts it, until its pool is there."""
    words = [*SERVICES["worker"]["entrypoint"], *SERVICES["worker"]["command"]]
    with (team.stack.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            env=team.env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"{team.env['PREFECT_API_URL']}/work_pools/{POOL}"
        waiting(lambda: team.stack.ask(url, login=LOGIN)[0] == 200, 180)
        yield
    finally:
        process.terminate()
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:  # it waits for a run that the clock began meanwhile
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    with running_stack() as stack:
        home, kept = stack.folder / "home", stack.folder / "s3" / "ganlib" / "data"
        kept.mkdir(parents=True)
        home.mkdir()
        (home / "data").symlink_to(kept)
        draw(stack.folder / "pictures", range(IMAGES))
        token = VALUES["RAY_TOKEN"]
        here = {"GANLIB_HOME": str(home), "GANLIB_CACHE": str(stack.folder / "cache")}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        inside = {k: v for k, v in stack.worker.items() if not k.startswith(("RAY_", "PREFECT_"))}
        with ray_nodes(1, 1, token=token, **inside, **here) as nodes:
            env = {**stack.worker, **here, **nodes.client(), "PATH": path}
            team = Team(stack, nodes, home, env)
            with worker(team):
                yield team


def test_three_nights(team: Team) -> None:
    folder = team.stack.folder
    recipe = folder / "tiny.yaml"
    data = {
        "source": {"kind": "folder", "path": str(folder / "pictures")},
        "size": 8,
        "channels": 1,
        "reading": {"copy_at": "s3://ganlib/data"},
    }
    recipe.write_text(yaml.safe_dump({**TINY, "data": data}))
    often = ("--cron", "*/3 * * * *", "--work-pool", POOL, "--set", "sweep.trials=1")
    team.ganlib("schedule", "add", str(recipe), *often)

    assert set(team.night(0).values()) == {"done"}  # trained and promoted
    first = by_stage(team.jobs())
    assert set(first) == {"classifiers", "gan", "evaluate"}
    assert {one["status"] for one in first.values()} == {"SUCCEEDED"}
    actors = team.nodes.ask("/api/v0/actors?detail=true&limit=1000")["data"]["result"]["result"]
    own = [one for one in actors if one["job_id"] == first["gan"]["job_id"]]
    ranks = [one for one in own if "TrainWorker" in one["class_name"]]
    assert len(ranks) == 2, [one["class_name"] for one in actors]
    assert len({one["node_id"] for one in ranks}) == 2
    assert team.home.joinpath("data").resolve().is_relative_to(folder / "s3")
    assert any((folder / "cache").rglob("*")), "workers read shards from the bucket"
    kept = {path.name for path in (folder / "s3" / "ganlib" / "mlflow").rglob("*")}
    assert {"weights.safetensors", "report.html"} <= kept

    second = team.night(1)  # without new data
    team.ganlib("schedule", "pause", "tiny")
    assert set(second.values()) == {"reused"}, second
    assert len(team.jobs()) == 3

    waiting(lambda: not running(team), 300)
    before = len(team.ended())
    draw(folder / "pictures", range(IMAGES, IMAGES + MORE))
    team.ganlib("schedule", "resume", "tiny")
    third = team.night(before)
    team.ganlib("schedule", "pause", "tiny")
    assert third["prepare"] == third["gan"] == "done", third
    seen = {one["submission_id"] for one in first.values()}
    again = by_stage([one for one in team.jobs() if one["submission_id"] not in seen])
    assert set(again) == {"classifiers", "gan", "evaluate", "champion"}
    champions = [model for model in team.ganlib("status")["models"]
                 if "champion" in json.dumps(model)]  # fmt: skip
    assert len(champions) == 2


def by_stage(jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["submission_id"].split(".")[1].split("-")[0]: one for one in jobs}


def running(team: Team) -> bool:
    body = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
    return bool(team.prefect("/flow_runs/filter", body))


def test_no_secret_is_in_the_home_in_a_log_or_on_rays_page(team: Team) -> None:
    """Planted ones; Ray's folder holds the logs and settings of all jobs and workers."""
    texts = {"jobs": json.dumps(team.jobs())}
    for place in (team.home, team.nodes.folder):
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                texts[str(path)] = path.read_bytes().decode("latin-1")
    for path in team.stack.folder.glob("*.log"):
        texts[str(path)] = path.read_bytes().decode("latin-1")
    assert any("order.json" in name for name in texts)
    assert [(name, p) for name, text in texts.items() for p in PASSWORDS if p in text] == []
