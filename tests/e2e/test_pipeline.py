"""`ganlib run` as a user gives it: Prefect, Ray, Tune and MLflow for real, on tiny budgets."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.timeout(900)  # fixtures count, and other work may share the machine

GANLIB = str(Path(sys.executable).parent / "ganlib")
STAGES = ["prepare", "classifiers", "sweep", "gan", "evaluate", "promote"]
TINY: dict[str, Any] = {
    "name": "tiny",
    "purpose": "the whole chain in little time",
    "data": {"source": {"kind": "digits"}, "size": 8, "channels": 1},
    "classifier": {
        "network": {"kind": "resnet", "width": 8, "blocks": 1},
        "budget": {"images": 6_000},
        "cadence": {"report": 2_000, "evaluate": 3_000, "sample": 6_000, "snapshot": 3_000},
    },
    "gan": {
        "generator": {"network": {"kind": "dcgan", "width": 8, "latent_size": 16}},
        "discriminator": {"network": {"kind": "dcgan", "width": 8}},
        "budget": {"images": 4_000},
        "cadence": {"report": 1_000, "evaluate": 2_000, "sample": 2_000, "snapshot": 2_000},
    },
    "sweep": {
        "trials": 2,
        "images": 2_000,
        "asha": {"grace_images": 1_000},
        "space": {
            "gan.generator.optimiser.learning_rate": {
                "kind": "log_uniform",
                "low": 3e-4,
                "high": 3e-3,
            }
        },
    },
    "evaluation": {"samples": 200, "repeats": 2},
    "promotion": {
        "min_relative_coverage": 0,
        "max_scaled_distance": 1_000,
        "min_label_agreement": 0,
        "min_classes_present": 0,
        "min_judge_accuracy": 0.1,
    },
}


@dataclass
class Place:
    """A home, the configuration that is run in it, and the seconds that a command may take."""

    home: Path
    recipe: Path
    limit: float = 280

    def command(self, *arguments: str) -> list[str]:
        return [GANLIB, *arguments, "--home", str(self.home), "--json"]

    def ganlib(self, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=self.limit
        )
        assert len(done.stdout.splitlines()) == 1, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["exit"] == done.returncode, done.stderr
        return document | {"stderr": done.stderr}

    def run(self, *arguments: str) -> dict[str, Any]:
        return self.ganlib("run", str(self.recipe), *arguments)

    def mlflow(self, query: str) -> list[Any]:
        with sqlite3.connect(f"file:{self.home}/mlflow.db?mode=ro", uri=True) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("e2e")
    recipe = folder / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(TINY))
    return Place(folder / "home", recipe)


@pytest.fixture(scope="module")
def first(place: Place) -> dict[str, Any]:
    """Interrupted once in the middle by Ctrl-C, then given again."""
    process = subprocess.Popen(
        place.command("run", str(place.recipe)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "gan: started" in line or "sweep: started" in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    out, _ = process.communicate(timeout=120)
    document = json.loads(out)
    assert process.returncode == document["exit"] == 130
    assert document["error"]["type"] == "Interrupted"
    return place.run()


def stages(document: dict[str, Any]) -> dict[str, bool]:
    return {stage["stage"]: stage["reused"] for stage in document["result"]["stages"]}


def test_an_interrupted_run_goes_on_to_a_promoted_model(
    place: Place, first: dict[str, Any]
) -> None:
    assert first["exit"] == 0, first["stderr"]
    assert "continuing" in first["stderr"]
    assert [stage["stage"] for stage in first["result"]["stages"]] == STAGES
    assert stages(first)["prepare"] is True
    decision = first["result"]["decision"]
    assert decision["verdict"] == "promoted"
    assert "champion" in decision["generator"]["aliases"]
    for picture in first["result"]["evaluation"]["candidate"]["pictures"].values():
        assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_no_run_is_left_in_a_lie(place: Place, first: dict[str, Any]) -> None:
    states = dict(place.mlflow("SELECT status, count(*) FROM runs GROUP BY status"))
    assert set(states) <= {"FINISHED", "KILLED"}
    now = place.ganlib("status")["result"]
    assert {run["state"] for run in now["runs"]} <= {"finished", "killed"}
    assert [m for m in now["models"] if m["name"] == "tiny-generator"]


def test_the_same_again_trains_nothing_and_is_quick(place: Place, first: dict[str, Any]) -> None:
    before = time.monotonic()
    again = place.run()
    took = time.monotonic() - before
    assert again["exit"] == 0, again["stderr"]
    assert all(stages(again).values()), stages(again)
    assert again["result"]["reused"] is True
    assert again["result"]["candidate"]["weights"] == first["result"]["candidate"]["weights"]
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    assert took < 20 * max(1.0, load), f"{took:.0f} s at load {load:.1f} per core"


@pytest.mark.slow
def test_another_learning_rate_reuses_data_and_judge(place: Place, first: dict[str, Any]) -> None:
    change = ("--set", "gan.discriminator.optimiser.learning_rate=5e-4")
    why = place.ganlib("status", str(place.recipe), "--why", "gan", *change)["result"]
    assert why["reused"] is False
    other = place.run(*change, "--set", "sweep.trials=1")
    assert other["exit"] in (0, 3), other["stderr"]
    assert stages(other)["prepare"] is True
    assert stages(other)["classifiers"] is True
    assert stages(other)["gan"] is False
    assert other["result"]["candidate"]["weights"] != first["result"]["candidate"]["weights"]
    verdict = other["result"]["decision"]["verdict"]
    assert (other["exit"] == 3) == (verdict != "promoted")


@pytest.mark.slow
def test_a_gan_goes_on_from_a_snapshot_with_a_change(place: Place, first: dict[str, Any]) -> None:
    run = first["result"]["pipeline"]
    change = ("--set", "gan.generator.optimiser.learning_rate=1e-4")
    lost = place.ganlib("train", "--from", f"{run}@1", *change)
    assert lost["exit"] == 2
    clock = re.findall(r"[\d,]+\d", lost["error"]["hint"])[0]
    other = place.ganlib("train", "--from", f"{run}@{clock}", *change)
    assert other["exit"] == 0, other["stderr"]
    assert stages(other) == {"prepare": True, "classifiers": True, "gan": False}
    assert f"at {clock.replace(',', '')} images" in other["stderr"]
    assert other["result"]["candidate"]["weights"] != first["result"]["candidate"]["weights"]


def test_a_gate_that_is_not_met_ends_with_3_and_reasons(
    place: Place, first: dict[str, Any]
) -> None:
    refused = place.run("--set", "promotion.min_relative_coverage=1.5")
    assert refused["exit"] == 3
    assert refused["ok"] is False
    assert refused["error"] is None
    assert refused["result"]["decision"]["reasons"]


def test_the_champion_draws_the_same_pictures_twice(
    place: Place, first: dict[str, Any], tmp_path: Path
) -> None:
    told = [
        place.ganlib("sample", "tiny", "--count", "10", "--out", str(tmp_path / name))["result"]
        for name in ("one", "two")
    ]
    grids = [Path(result["grid"]).read_bytes() for result in told]
    assert grids[0] == grids[1]


def test_a_cancelled_run_ends_in_order_and_is_shown_as_killed(place: Place) -> None:
    process = subprocess.Popen(
        place.command("train", str(place.recipe), "--only", "classifiers", "--fresh"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "classifiers: started" in line:
            break
    newest = max((place.home / "runs" / "pipelines").glob("p-*.json"), key=os.path.getmtime).stem
    told = place.ganlib("cancel", newest, "--wait", "120")["result"]
    out, _ = process.communicate(timeout=60)
    assert process.returncode == json.loads(out)["exit"] == 130
    assert told["how"] == "asked"
    # Killed in order, and what the same command would go on with.
    assert told["state"] in ("killed", "interrupted")
    states = dict(place.mlflow("SELECT status, count(*) FROM runs GROUP BY status"))
    assert "RUNNING" not in states
