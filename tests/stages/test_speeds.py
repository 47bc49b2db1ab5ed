"""What recipes cost here: measured once, kept, and read without making a home."""

from __future__ import annotations

from pathlib import Path

from ganlib import api
from ganlib.config import load_recipe, overlay


def test_a_recipe_is_measured_once_and_known_afterwards(tmp_path: Path) -> None:
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
    again = api.speeds(configs, home=tmp_path, measure=True, say=said.append)
    assert again == {"digits": first} == api.speeds(configs, home=tmp_path)
    assert len(said) == 1
    other = {"digits": overlay(configs["digits"], {"classifier.batch_size": 32})}
    assert api.speeds(other, home=tmp_path) == {}
