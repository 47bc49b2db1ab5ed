"""Every shipped recipe is whole and valid; what a user names is found or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ganlib.config import (
    Folder,
    PipelineConfig,
    fingerprint,
    load,
    load_recipe,
    overlay,
    recipe_names,
)
from ganlib.errors import ConfigError, InputError, NotFound
from ganlib.models import build_classifier


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_is_valid_and_says_what_it_is_for(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.purpose
    assert PipelineConfig.model_validate(recipe.model_dump(mode="json")) == recipe
    for path in recipe.sweep.space:
        parts = path.split(".")
        value: object = recipe
        for part in parts:
            value = getattr(value, part)
        assert overlay(recipe, {path: value}) == recipe


@pytest.mark.parametrize("name", recipe_names())
def test_training_is_looked_at_often_enough_to_be_told_stalled_before_its_end(name: str) -> None:
    gan = load_recipe(name).gan
    assert gan.budget.images >= 8 * gan.cadence.evaluate


def test_the_promised_recipes_are_there() -> None:
    assert set(recipe_names()) >= {
        "digits",
        "mnist",
        "fashion-mnist",
        "cifar10",
        "folder",
        "unlabelled",
    }


def test_a_folder_becomes_the_folder_recipe(tmp_path: Path) -> None:
    images = tmp_path / "My Flowers (2)"
    images.mkdir()
    recipe = load(str(images))
    assert recipe.data.source == Folder(path=str(images))
    assert recipe.name == "my-flowers--2"


def test_a_path_is_a_folder_even_with_the_name_of_a_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    for path in ("mnist/", "./mnist"):
        assert load(path).data.source == Folder(path=str(tmp_path / "mnist"))
    assert load("mnist") == load_recipe("mnist")


def test_a_file_is_read_and_named_in_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\n")
    assert load(str(file)) == PipelineConfig(name="mine")
    file.write_text("name: [\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml is not valid YAML"):
        load(str(file))
    file.write_text("- 1\n")
    with pytest.raises(ConfigError, match="holds no settings"):
        load(str(file))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError):
        load(str(file))


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(NotFound, match="did you mean digits"):
        load("digit")


def test_the_fingerprint_is_of_the_content_alone() -> None:
    one = PipelineConfig.model_validate({"name": "a", "gan": {"batch_size": 32}})
    two = PipelineConfig.model_validate({"gan": {"batch_size": 32}, "name": "a"})
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(overlay(one, {"gan.batch_size": 34}))


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("cifar10-resnet20", 10, 269_722),
        ("cifar10-resnet32", 10, 464_154),
        ("cifar10-resnet56", 10, 853_018),
        ("cifar10-resnet18", 10, 11_173_962),
        ("alexnet", 1000, 61_100_840),
    ],
)
def test_a_papers_classifier_has_the_papers_parameters(name: str, classes: int, count: int) -> None:
    """.27M, .46M and .85M in He et al. 2015, table 6; 61M are AlexNet's for 1000 classes.

    11.17M are those of its table 1, counted by the repository of the small stem.
    """
    recipe = load_recipe(name)
    shape = {"size": recipe.data.size, "channels": recipe.data.channels, "classes": classes}
    with torch.device("meta"):
        network = build_classifier(recipe.classifier.network, **shape)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
