"""An edit in a user's own code makes the stages that use it anew, and no others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ganlib.config import PipelineConfig, overlay
from ganlib.stages import classifiers, gan, prepare, sweep
from ganlib.stages.keys import stage_key
from ganlib.stages.values import Classifiers, DatasetRef, ModelRef
from ganlib.storage import Home

IMAGES = """
import numpy as np
from ganlib.data.sources.arrays import ArraySource
from drawing import level

def build(version=""):
    image_NHW = np.full((40, 8, 8), level, np.uint8)
    image_NHW[::2] += np.arange(64, dtype=np.uint8).reshape(8, 8)
    return ArraySource(image_NHW, np.arange(40) % 2, ("a", "b"), version=version)
"""
DATASET = DatasetRef(folder="/d", fingerprint="0", size=8, channels=1, classes=("a",), counts={})
MODEL = ModelRef(
    kind="classifier", folder="/m", fingerprint="1", run="r", images=1, reason="budget", metrics={}
)
JUDGES = Classifiers(judge=MODEL, selector=MODEL)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "drawing.py").write_text("level = 100\n")
    (tmp_path / "own_images.py").write_text(IMAGES)
    for name in ("own_net", "own_judge", "own_loss", "own_sight"):
        (tmp_path / f"{name}.py").write_text("def build(**options): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("drawing", "own_images"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def custom(name: str, **options: str) -> dict[str, object]:
    return {"kind": "custom", "build": f"{name}:build", "options": options}


def keys(home: Home) -> dict[str, str]:
    config = overlay(
        PipelineConfig(name="own"),
        {
            "gan.generator.network": custom("own_net"),
            "gan.loss": custom("own_loss"),
            "gan.augmentation": custom("own_sight"),
            "classifier.network": custom("own_judge"),
        },
    )
    return {
        "classifiers": stage_key("classifiers", classifiers.parts(home, config, DATASET, None)),
        "sweep": stage_key("sweep", sweep.parts(home, config, DATASET, JUDGES)),
        "gan": stage_key("gan", gan.parts(home, config, DATASET, JUDGES, None)),
    }


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("own_net.py", {"sweep", "gan"}),
        ("own_loss.py", {"sweep", "gan"}),
        ("own_sight.py", {"sweep", "gan"}),
        ("own_judge.py", {"classifiers"}),
    ],
)
def test_networks_and_losses(own: Path, tmp_path: Path, file: str, changed: set[str]) -> None:
    home = Home.open(tmp_path / "home")
    before = keys(home)
    assert keys(home) == before
    (own / file).write_text("def build(**options): return 1\n")
    assert {name for name, key in keys(home).items() if key != before[name]} == changed


def test_a_source_of_images(own: Path) -> None:
    def key(version: str = "") -> str:
        source = custom("own_images", version=version)
        config = overlay(PipelineConfig(name="own"), {"data.source": source})
        return stage_key("prepare", prepare.parts(config))

    before = key()
    assert key() == before
    (own / "drawing.py").write_text("level = 120\n")
    assert key() != before


def test_the_version_a_source_gives_counts(own: Path) -> None:
    """Images that change while the code stays: the version is read from somewhere else."""
    (own / "own_images.py").write_text(
        IMAGES.replace("version=version)", "version=open(version).read())")
    )
    (own / "stamp").write_text("1")
    source = custom("own_images", version=str(own / "stamp"))
    config = overlay(PipelineConfig(name="own"), {"data.source": source})
    before = stage_key("prepare", prepare.parts(config))
    (own / "stamp").write_text("2")
    assert stage_key("prepare", prepare.parts(config)) != before


def test_images_of_edited_code_are_prepared_anew(own: Path, tmp_path: Path) -> None:
    from ganlib.data import prepare as prepared

    config = overlay(PipelineConfig(name="own"), {"data.source": custom("own_images")}).data
    first = prepared(config, tmp_path / "data", workers=1).load("train").image_NHWC
    (own / "drawing.py").write_text("level = 120  # lighter\n")
    for name in ("drawing", "own_images"):
        sys.modules.pop(name, None)
    second = prepared(config, tmp_path / "data", workers=1).load("train").image_NHWC
    assert second.float().mean() > first.float().mean() + 15
