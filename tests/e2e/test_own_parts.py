"""A user's own pictures and own network, and each stage's flow alone, in one home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.timeout(900)  # fixtures count, and other work may share the machine

GANLIB = str(Path(sys.executable).parent / "ganlib")
PER_CLASS = 70
SETTINGS: dict[str, Any] = {
    "data.size": 8,
    "data.channels": 1,
    "data.validation_fraction": 0.3,
    "data.test_fraction": 0.3,
    "classifier.network": {"kind": "resnet", "width": 8, "blocks": 1},
    "classifier.budget.images": 4_000,
    "gan.generator.network": {"kind": "dcgan", "width": 8, "latent_size": 16},
    "gan.discriminator.network": {"kind": "dcgan", "width": 8},
    "gan.budget.images": 2_000,
    "gan.cadence.evaluate": 2_000,
    "cluster.workers": 1,
    "sweep.trials": 1,
    "evaluation.neighbours": 3,
    "evaluation.repeats": 2,
    "promotion.min_relative_coverage": 0,
    "promotion.max_scaled_distance": 1_000,
    "promotion.min_label_agreement": 0,
    "promotion.min_classes_present": 0,
    "promotion.min_judge_accuracy": 0.6,
    "promotion.spread_factor": 10_000,
}
NETWORK = """
from torch import nn

class Flat(nn.Module):
    latent_size = 8

    def __init__(self, size, channels, classes, width):
        super().__init__()
        self.shape = (channels, size, size)
        self.label = nn.Embedding(classes, self.latent_size)
        self.layers = nn.Sequential(
            nn.Linear(self.latent_size, width), nn.ReLU(),
            nn.Linear(width, channels * size * size), nn.Tanh(),
        )

    def forward(self, z_NZ, label_N):
        return self.layers(z_NZ + self.label(label_N)).unflatten(1, self.shape)

def generator(**arguments):
    return Flat(**arguments)
"""
AGAIN = """
import json, sys
from pathlib import Path
from flows import server, settings
home, folder, changes = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
settings.apply(home)
running = server.start(home)
running.wait()
from flows.evaluate import evaluate
from flows.pipeline import pipeline
from flows.promote import promote
from flows.sweep import sweep
from flows.train import train
from ganlib import api
from ganlib.config import load, overlay
config = overlay(load(folder), changes)
with api.session(home):
    done = pipeline(config, home=str(home))
    alone = {f.name: f(config, home=str(home)) for f in (train, sweep, evaluate, promote)}
    back = api.rollback(done.decision.generator.name, reason="the first was nicer", home=home)
settings.flush()
running.stop()
print(json.dumps({
    "verdict": done.verdict,
    "build": done.candidate.config["generator"]["network"]["build"],
    "reused": {s.stage: s.reused for s in done.stages},
    "alone": {name: [s.reused for s in found.stages] for name, found in alone.items()},
    "champion": back.champion, "before": back.before,
}))
"""


@dataclass
class Place:
    """A folder of pictures by class, a module of networks beside it, a home, what was told."""

    root: Path
    first: dict[str, Any]

    def __init__(self, root: Path) -> None:
        from sklearn.datasets import load_digits

        self.root = root
        (root / "mynets.py").write_text(NETWORK)
        digits = load_digits()
        for label, name in enumerate(("zero", "one", "two")):
            folder = root / "handwriting" / name
            folder.mkdir(parents=True)
            for number, image_HW in enumerate(digits.images[digits.target == label][:PER_CLASS]):
                Image.fromarray((image_HW * 15).astype("uint8")).save(folder / f"{number}.png")
        settings = (f"{path}={json.dumps(value)}" for path, value in SETTINGS.items())
        chosen = [word for setting in settings for word in ("--set", setting)]
        self.first = self.told(GANLIB, "run", "handwriting", "--home", "home", "--json", *chosen)

    def told(self, *command: str, **env: str) -> dict[str, Any]:
        done = subprocess.run(
            command, cwd=self.root, env={**os.environ, **env}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return document | {"stderr": done.stderr}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def second(place: Place) -> dict[str, Any]:
    """The same pictures with a generator of one's own, by the flows alone, then rolled back."""
    custom = {"kind": "custom", "build": "mynets:generator", "options": {"width": 32}}
    changes = json.dumps(SETTINGS | {"gan.generator.network": custom})
    return place.told(sys.executable, "-c", AGAIN, str(place.root / "home"), "handwriting", changes)


def test_a_folder_of_pictures_becomes_a_promoted_model(place: Place) -> None:
    result = place.first["result"]
    assert result["name"] == "handwriting"
    assert result["verdict"] == "promoted"
    assert result["dataset"]["classes"] == ["one", "two", "zero"]
    assert sum(result["dataset"]["counts"].values()) == 3 * PER_CLASS
    assert result["metrics"]["judge_accuracy"] > 0.6
    assert result["unsent_runs"] == 0


@pytest.mark.slow
def test_an_own_network_goes_the_whole_way(place: Place, second: dict[str, Any]) -> None:
    assert second["build"] == "mynets:generator"
    assert second["verdict"] == "promoted"
    assert [stage for stage, reused in second["reused"].items() if reused] == [
        "prepare",
        "classifiers",
    ]


@pytest.mark.slow
def test_each_flow_alone_answers_from_the_records(second: dict[str, Any]) -> None:
    assert set(second["alone"]) == {"train", "sweep", "evaluate", "promote"}
    assert all(all(reused) for reused in second["alone"].values()), second["alone"]


@pytest.mark.slow
def test_the_champion_before_is_champion_again(place: Place, second: dict[str, Any]) -> None:
    assert second["before"].endswith("handwriting-generator/2")
    assert second["champion"].endswith("handwriting-generator/1")


@pytest.mark.slow
def test_what_mlflow_did_not_take_is_told_and_sent_by_the_next(place: Place) -> None:
    command = (GANLIB, "data", "prepare", "digits", "--home", "home", "--json")
    away = place.told(*command, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert away["result"]["unsent_runs"] >= 1
    assert "MLflow does not answer" in away["stderr"]
    assert place.told(*command)["result"]["unsent_runs"] == 0
