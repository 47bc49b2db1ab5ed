"""Images without classes: which folders hold such, and what is refused for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlib.config import (
    ByNetworks,
    Folder,
    PipelineConfig,
    PretrainedFeatures,
    RandomFeatures,
    Unlabelled,
    load,
    load_recipe,
    overlay,
    parse_assignments,
)
from ganlib.errors import ConfigError


def folder(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


UNLABELLED = {
    "flat": ("a.jpg", "b.PNG", "notes.txt"),
    "one subfolder": ("celeba/a.jpg", "celeba/b.jpg"),
    "splits": ("train/a.jpg", "test/b.jpg"),
    "train alone": ("train/a.jpg",),
    "beside what ganlib made": ("a.jpg", ".ganlib/home.json", "samples/samples.npz"),
}
CLASSES = {
    "two classes": ("cat/a.jpg", "dog/b.jpg"),
    "loose images beside them": ("a.jpg", "cat/a.jpg", "dog/b.jpg"),
    "loose images beside one": ("a.jpg", "cat/a.jpg"),
    "one level up": ("set/cat/a.jpg", "set/dog/b.jpg"),
    "splits of classes": ("train/cat/a.jpg", "train/dog/b.jpg", "test/cat/a.jpg"),
    "a split without classes": ("train/cat/a.jpg", "test/a.jpg"),
    "nothing": (),
}


@pytest.mark.parametrize("case", UNLABELLED)
def test_a_folder_without_classes_is_the_recipe_unlabelled(tmp_path: Path, case: str) -> None:
    found = load(str(folder(tmp_path, *UNLABELLED[case])))
    assert found.data.source == Unlabelled(path=str(tmp_path))
    assert found.judging == ByNetworks()
    assert found.gan == load_recipe("unlabelled").gan


@pytest.mark.parametrize("case", CLASSES)
def test_subfolders_are_classes(tmp_path: Path, case: str) -> None:
    found = load(str(folder(tmp_path, *CLASSES[case])))
    assert found.data.source == Folder(path=str(tmp_path))


def test_the_network_that_gates_is_not_the_one_that_selects() -> None:
    recipe = load_recipe("unlabelled")
    assert recipe.judging == ByNetworks(gate=PretrainedFeatures(), selector=RandomFeatures())
    changes = parse_assignments(["judging.gate=random"])
    with pytest.raises(ConfigError, match="gate and selector are the same network, random"):
        overlay(recipe, changes)
    changes = parse_assignments(["judging.gate={kind: random, seed: 1}"])
    assert overlay(recipe, changes).judging == ByNetworks(gate=RandomFeatures(seed=1))


BOTH = {
    "gan.generator.network.conditioning": "concatenation",
    "gan.discriminator.network.conditioning": "projection",
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (BOTH, r"generator\.network\.conditioning is concatenation, .* no classes"),
        ({"classifier.budget.images": 5_000}, "classifier.budget is set, .* no classes"),
        ({"evaluation.teaching.classifiers": 2}, "evaluation.teaching is set, .* no classes"),
        ({"sweep.target": "classifier"}, r"sweep\.target is classifier"),
        ({"promotion.min_classes_present": 0.9}, "min_classes_present is 0.9, .* leave it out"),
        ({"promotion.min_judge_accuracy": 0.9}, "min_judge_accuracy is 0.9"),
        ({"evaluation.extractors": ["pretrained"]}, "names pretrained, whose rows are there"),
        ({"judging": "classifiers"}, "judging is by classifiers: set judging=networks"),
        ({"data.source.kind": "digits"}, "judging is by networks, .* of data.source digits"),
    ],
)
def test_what_is_about_classes_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        overlay(load_recipe("unlabelled"), changes)


def test_a_limit_of_nothing_asks_for_nothing() -> None:
    changes = {"promotion.min_label_agreement": 0, "evaluation.extractors": ["random"]}
    assert overlay(load_recipe("unlabelled"), changes).evaluation.others() == (RandomFeatures(),)


def test_classifiers_judge_where_nothing_is_said() -> None:
    assert PipelineConfig(name="a").judging.kind == "classifiers"
