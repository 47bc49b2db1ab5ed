"""`ganlib sample`: what lies in the folder, for seeds, interpolations, sweeps and truncation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib import api
from ganlib.cli.main import main
from ganlib.config import DcganGenerator
from ganlib.errors import InputError
from ganlib.evaluation import generate
from ganlib.models import build_generator, load_model, save_model

NAMES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(tmp_path_factory.mktemp("model"), DcganGenerator(width=4, latent_size=8))


def saved(folder: Path, network: DcganGenerator) -> str:
    torch.manual_seed(0)
    generator = build_generator(network, size=8, channels=1, classes=3)
    for parameter in generator.parameters():
        parameter.data.mul_(4)  # different latents, visibly different images
    save_model(generator, folder, kind="generator", classes=NAMES, meta={})
    return str(folder)


def sampled(model: str, folder: Path, **wishes: Any) -> tuple[Any, dict[str, np.ndarray], set[str]]:
    done = api.sample(model, out=folder, home=folder / "home", **wishes)
    files = {str(path.relative_to(done.folder)) for path in Path(done.folder).rglob("*.png")}
    return done, dict(np.load(done.npz)), files


def by_seed(model: str, seeds: list[int], labels: list[int]) -> np.ndarray:
    module = load_model(Path(model)).module
    return generate(module, torch.tensor(seeds), torch.tensor(labels)).numpy()


def test_an_interpolation_has_a_row_for_each_class_from_one_seed_to_the_other(
    model: str, tmp_path: Path
) -> None:
    done, arrays, files = sampled(model, tmp_path, interpolate=(3, 8), steps=5)
    assert (done.count, done.interpolate, done.seed) == (15, (3, 8), 3)
    assert arrays["labels"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert arrays["seeds"].tolist() == [[3, 8]] * 15
    assert arrays["positions"][5:10].tolist() == [0, 0.25, 0.5, 0.75, 1]
    ends = by_seed(model, [3, 8, 3, 8], [0, 0, 2, 2])
    np.testing.assert_allclose(arrays["images"][[0, 4, 10, 14]], ends, atol=1)
    assert (arrays["images"][0] != arrays["images"][2]).any()
    assert files == {f"{name}/{step:010d}.png" for name in NAMES for step in range(5)}
    assert Image.open(done.grid).width > 5 * 48


def test_an_interpolation_of_one_class_with_the_default_steps(model: str, tmp_path: Path) -> None:
    done, arrays, _ = sampled(model, tmp_path, interpolate=(0, 1), classes=["owl"])
    assert done.classes == ("owl",)
    assert arrays["labels"].tolist() == [2] * 9


def test_a_class_sweep_shows_every_class_of_a_seed(model: str, tmp_path: Path) -> None:
    done, arrays, files = sampled(model, tmp_path, class_sweep=True, seed=7)
    assert done.count == 24
    assert arrays["seeds"].tolist() == [seed for seed in range(7, 15) for _ in range(3)]
    assert arrays["labels"].tolist() == [0, 1, 2] * 8
    np.testing.assert_allclose(arrays["images"][3:6], by_seed(model, [8] * 3, [0, 1, 2]), atol=1)
    assert files == {f"{name}/{seed:010d}.png" for name in NAMES for seed in range(7, 15)}
    few, arrays, _ = sampled(model, tmp_path, class_sweep=True, count=4, classes=["dog", "owl"])
    assert few.count == 4
    assert arrays["seeds"].tolist() == [0, 0, 1, 1]
    assert arrays["labels"].tolist() == [1, 2, 1, 2]


def test_truncation_brings_images_of_one_class_closer_together(model: str, tmp_path: Path) -> None:
    spread = {}
    for truncation in (None, 100.0, 0.1):
        done, arrays, _ = sampled(model, tmp_path, classes=["cat"], truncation=truncation)
        assert done.truncation == truncation
        spread[truncation] = arrays["images"].astype(float).std(axis=0).mean()
    assert spread[100.0] == pytest.approx(spread[None], rel=0.01)
    assert spread[0.1] < 0.5 * spread[None]
    both, arrays, _ = sampled(model, tmp_path, interpolate=(3, 8), truncation=0.5)
    _, alone, _ = sampled(model, tmp_path, seed=3, count=1, classes=["cat"], truncation=0.5)
    assert both.truncation == 0.5
    np.testing.assert_allclose(arrays["images"][0], alone["images"][0], atol=1)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"interpolate": (0, 1), "class_sweep": True}, "class_sweep"),
    ({"interpolate": (0, 1), "count": 5}, "count"),
    ({"interpolate": (0, 1), "seed": 0}, "seed"),
    ({"interpolate": (0, -1)}, "interpolate"),
    ({"interpolate": (0, 2**32)}, "interpolate"),
    ({"interpolate": (0, 1), "steps": 1}, "steps"),
    ({"steps": 5}, "steps"),
    ({"truncation": 0.0}, "truncation"),
    ({"truncation": float("nan")}, "truncation"),
    ({"count": 0}, "count"),
    ({"seed": 2**32 - 63}, "seed"),
]


@pytest.mark.parametrize(("wishes", "where"), WRONG, ids=[str(wishes) for wishes, _ in WRONG])
def test_what_does_not_combine_is_refused(
    model: str, tmp_path: Path, wishes: dict[str, Any], where: str
) -> None:
    with pytest.raises(InputError) as told:
        api.sample(model, out=tmp_path / "out", home=tmp_path / "home", **wishes)
    assert told.value.where == where
    assert not (tmp_path / "out").exists()


def test_uniform_noise_is_interpolated_and_not_truncated(tmp_path: Path) -> None:
    model = saved(tmp_path / "uniform", DcganGenerator(width=4, latent_size=8, latent="uniform"))
    _, arrays, _ = sampled(model, tmp_path, interpolate=(3, 8), steps=2)
    expected = by_seed(model, [3, 8], [0, 0])
    np.testing.assert_allclose(arrays["images"][:2], expected, atol=1)
    with pytest.raises(InputError, match="no tails"):
        sampled(model, tmp_path, truncation=1.0)


def test_the_command_line_says_the_same(
    model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = ["--out", str(tmp_path / "out"), "--home", str(tmp_path / "home"), "--json"]
    wishes = ["--interpolate", "3", "8", "--steps", "4", "--truncation", "0.7", "--class", "dog"]
    assert main(["sample", model, *wishes, *place]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "ganlib.sample/1"
    result = document["result"]
    assert (result["count"], result["interpolate"], result["truncation"]) == (4, [3, 8], 0.7)
    assert main(["sample", model, "--class-sweep", *place]) == 0
    assert json.loads(capfd.readouterr().out)["result"]["count"] == 24
    assert main(["sample", model, "--class-sweep", "--interpolate", "3", "8", *place]) == 2
    error = json.loads(capfd.readouterr().out)["error"]
    assert "ask for one of them" in error["hint"]
