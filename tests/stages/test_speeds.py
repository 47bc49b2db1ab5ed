"""What recipes cost here: measured once, kept, and read without making a home."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ganlib import api
from ganlib.config import load_recipe, overlay, recipe_names
from ganlib.stages import speeds
from ganlib.stages.stamp import source_digest


def test_a_recipe_is_measured_once_and_known_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = {"digits": load_recipe("digits")}
    assert api.speeds(configs, home=tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()
    said: list[str] = []
    first = api.speeds(configs, home=tmp_path, measure=True, say=said.append)["digits"]
    assert said == ["measuring digits"]
    assert (first.generator_parameters, first.discriminator_parameters) == (84_993, 44_417)
    assert first.classifier_parameters == 77_754
    assert min(first.classifier_seconds, first.gan_seconds) > 0
    assert first.megabytes > 100
    counted = api.sizes(configs)["digits"]
    assert counted.classifier == first.classifier_parameters
    assert counted.generator == first.generator_parameters
    assert counted.discriminator == first.discriminator_parameters
    again = api.speeds(configs, home=tmp_path, measure=True, say=said.append)
    assert again == {"digits": first} == api.speeds(configs, home=tmp_path)
    assert len(said) == 1
    other = {"digits": overlay(configs["digits"], {"classifier.batch_size": 32})}
    assert api.speeds(other, home=tmp_path) == {}
    monkeypatch.setattr(speeds, "source_digest", lambda places: f"another {sorted(places)}")
    assert api.speeds(configs, home=tmp_path) == {}


def test_speeds_are_of_the_code_that_trains() -> None:
    assert {"training", "models", "losses", "augmentation"} <= set(speeds.CODE)
    digests = [source_digest(speeds.CODE), *(source_digest((place,)) for place in speeds.CODE)]
    assert len(set(digests)) == len(digests)


def test_counting_every_recipe_needs_no_weights_and_no_compiler() -> None:
    """In a process of its own, where nobody else has imported one."""
    told = """
import json, sys
from ganlib import api
found = {name: sizes.model_dump() for name, sizes in api.sizes(api.recipes()).items()}
print(json.dumps([found, "torch._dynamo" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    found, compiler = json.loads(done.stdout)
    assert not compiler
    assert set(found) == set(recipe_names())
    lenet5, resnet20 = (found[name]["classifier"] for name in ("mnist-lenet5", "cifar10-resnet20"))
    assert (lenet5, resnet20) == (61_706, 269_722)
