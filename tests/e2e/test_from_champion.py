"""Nights that go on from the champion: with new images its snapshot, without any nothing at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ganlib.storage import Home
from ganlib.training import read_journal
from tests.e2e.test_own_parts import SETTINGS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FIRST, LATER = 60, 10
IMAGES, STEP = 2_000, 128  # a budget is rounded up to whole steps
NIGHTS = """
import json, sys
from pathlib import Path
from flows import server, settings
home, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
settings.apply(home)
running = server.start(home)
running.wait()
from PIL import Image
from sklearn.datasets import load_digits
from flows.scheduled import scheduled
from ganlib import api
from ganlib.config import load, overlay

digits = load_digits()
with api.session(home):
    for start, end in json.loads(sys.argv[3]):
        for label, name in enumerate(("zero", "one", "two")):
            folder = Path("handwriting") / name
            folder.mkdir(parents=True, exist_ok=True)
            for number, image_HW in enumerate(digits.images[digits.target == label][start:end]):
                picture = Image.fromarray((image_HW * 15).astype("uint8"))
                picture.save(folder / f"{start + number}.png")
        config = overlay(load("handwriting"), changes)
        done = scheduled(config=config, home=str(home), start="champion")
        print(done.model_dump_json(), flush=True)
settings.flush()
running.stop()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("nights") / "home")


@pytest.fixture(scope="module")
def nights(home: Home) -> list[dict[str, Any]]:
    """One from nothing, one after files were added, one after which nothing was."""
    added = json.dumps([(0, FIRST), (FIRST, FIRST + LATER), (0, 0)])
    done = subprocess.run(
        [sys.executable, "-c", NIGHTS, str(home.root), json.dumps(SETTINGS), added],
        cwd=home.root.parent,
        env={k: v for k, v in os.environ.items() if not k.startswith("PREFECT")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def stages(told: dict[str, Any]) -> dict[str, bool]:
    return {one["stage"]: one["reused"] for one in told["stages"]}


def test_new_images_are_trained_on_from_the_champion(
    home: Home, nights: list[dict[str, Any]]
) -> None:
    first, second, _ = nights
    assert first["decision"]["verdict"] == "promoted"
    assert sum(first["dataset"]["counts"].values()) == 3 * FIRST
    assert sum(second["dataset"]["counts"].values()) == 3 * (FIRST + LATER)
    assert "sweep" in stages(first)
    assert "sweep" not in stages(second)
    run, shown = first["candidate"]["model"]["run"], first["candidate"]["model"]["images"]
    model = second["candidate"]["model"]
    assert shown + IMAGES <= model["images"] < shown + IMAGES + STEP
    journal = home.spool / f"{model['run']}.jsonl"
    tags = [line["values"] for line in read_journal(journal) if line["kind"] == "tags"]
    assert {"ganlib.from": f"{run}@{shown}"} in tags
    # It began there: none of its readings is of fewer images.
    clocks = [line["clock"] for line in read_journal(journal) if line["kind"] == "metrics"]
    assert min(clock for clock in clocks if clock) > shown


def test_without_new_images_all_is_reused(nights: list[dict[str, Any]]) -> None:
    _, second, third = nights
    assert set(stages(third)) == set(stages(second))
    assert all(reused for stage, reused in stages(third).items() if stage != "promote")
    assert third["candidate"]["model"] == second["candidate"]["model"]
