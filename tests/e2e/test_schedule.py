"""`ganlib schedule serve` for real: a cron fires, a model is promoted, what overlaps is skipped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.test_pipeline import TINY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GANLIB = str(Path(sys.executable).parent / "ganlib")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schedule") / "home"


@pytest.fixture(scope="module")
def api(home: Path) -> Iterator[str]:
    """The address of a `schedule serve` of a recipe that is due every minute."""
    recipe = home.parent / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(TINY))
    short = ("--set", "sweep.trials=1")
    added = ganlib(home, "schedule", "add", str(recipe), "--cron", "* * * * *", *short)
    assert added["server"] == ""
    process = subprocess.Popen(
        [GANLIB, "schedule", "serve", "--home", str(home), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["ok"], told
        yield f"{told['result']['prefect']}/api"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    assert not list((home / "prefect").glob("serving.json"))


def ganlib(home: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [GANLIB, *arguments, "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("PREFECT")},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)["result"]
    return result


def ended(api: str) -> list[dict[str, Any]]:
    """The runs that came to an end, in the order they were due."""
    body = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}}
    request = urllib.request.Request(
        f"{api}/flow_runs/filter",
        data=json.dumps(body | {"sort": "EXPECTED_START_TIME_ASC"}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        found: list[dict[str, Any]] = json.load(response)
    return found


def test_a_cron_fires_and_what_overlaps_is_skipped(home: Path, api: str) -> None:
    end = time.monotonic() + 800
    while len(found := ended(api)) < 2:
        assert time.monotonic() < end, found
        time.sleep(1)
    first, *later = found
    assert first["state_name"] == "Completed", (home / "prefect" / "worker.log").read_text()[-3000:]
    assert "champion" in json.dumps(ganlib(home, "status"))
    for run in later:
        overlaps = run["expected_start_time"] < first["end_time"]
        assert run["state_name"] == ("Skipped" if overlaps else "Completed"), run
        assert not overlaps or run["state"]["message"].endswith("still ran")


def test_a_schedule_is_paused_while_it_is_served(home: Path, api: str) -> None:
    paused = ganlib(home, "schedule", "pause", "tiny")
    assert paused["server"] == api
    with urllib.request.urlopen(f"{api}/deployments/name/scheduled/tiny", timeout=60) as response:
        assert json.load(response)["schedules"][0]["active"] is False
