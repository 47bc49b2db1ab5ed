"""Time to a quality: what is counted, what is told, and that it goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganlib.bench import quality
from ganlib.bench.loops import LOOPS
from ganlib.bench.quality import bench_quality
from ganlib.bench.sides import random_images
from ganlib.config import load_recipe, overlay
from ganlib.data import Images
from tests.bench.test_bench_train import SMALL


class Counting:
    """A loop whose generator's bias is the images it has seen."""

    def __init__(self) -> None:
        self.generator = nn.Linear(1, 1)
        self.started: list[int] = []

    def shown(self, start: int, every: int) -> Iterator[int]:
        self.started.append(start)
        images = start
        while True:
            images += every
            self.generator.bias.data.fill_(images)
            yield images

    def state_dict(self) -> dict[str, Tensor]:
        return self.generator.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.generator.load_state_dict(state)


def coverage(generator: nn.Module) -> float:
    return float(generator.bias.detach()) / 250_000


def silent(text: str) -> None: ...


def test_it_ends_where_enough_is_covered_and_looks_less_often_later(tmp_path: Path) -> None:
    found = quality._until(Counting(), coverage, tmp_path / "begun", 10, silent)
    images = [look["images"] for look in found["series"]]
    assert images == [
        *range(10_000, 110_000, 10_000),
        110_000,
        130_000,
        150_000,
        170_000,
        190_000,
        210_000,
    ]
    assert found["reached"]
    assert found["cpu_minutes"] == found["series"][-1]["cpu_minutes"] < 10
    spent = [look["cpu_minutes"] for look in found["series"]]
    assert spent == sorted(spent)


def test_a_loop_that_does_not_come_so_far_is_told_by_its_limit(tmp_path: Path) -> None:
    found = quality._until(Counting(), lambda _: 0.7, tmp_path / "begun", 1e-9, silent)
    assert not found["reached"]
    assert found["cpu_minutes"] == "> 1e-09"
    assert len(found["series"]) == 1


def test_a_stopped_measurement_goes_on(tmp_path: Path) -> None:
    begun, looks = tmp_path / "begun", []

    def interrupted(generator: nn.Module) -> float:
        looks.append(coverage(generator))
        if len(looks) == 3:
            raise KeyboardInterrupt
        return looks[-1]

    with pytest.raises(KeyboardInterrupt):
        quality._until(Counting(), interrupted, begun, 10, silent)
    loop = Counting()
    found = quality._until(loop, coverage, begun, 10, silent)
    whole = quality._until(Counting(), coverage, tmp_path / "whole", 10, silent)
    assert loop.started == [20_000]
    told = ("images", "coverage")
    assert [[look[k] for k in told] for look in found["series"]] == [
        [look[k] for k in told] for look in whole["series"]
    ]
    done = Counting()
    assert quality._until(done, coverage, begun, 10, silent) == found
    assert done.started == []


@pytest.mark.parametrize("name", LOOPS)
def test_both_loops_are_where_their_state_was(name: str) -> None:
    """And learn from there: the next images change every weight's moments."""
    torch.set_num_threads(1)
    config = overlay(load_recipe("digits"), dict(setting.split("=") for setting in SMALL))
    images = Images(*random_images(config, 256))
    first, second = LOOPS[name](config, images), LOOPS[name](config, images)
    every = config.gan.batch_size
    shown = first.shown(0, every)
    assert [next(shown) for _ in range(3)] == [every, 2 * every, 3 * every]
    state = {key: tensor.clone() for key, tensor in first.state_dict().items()}
    second.load_state_dict(state)
    assert second.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[key]) for key, tensor in second.state_dict().items())
    assert next(second.shown(3 * every, every)) == 4 * every
    steps = [key for key in state if key.endswith(".step") or ".step." in key]
    assert steps
    assert all(float(second.state_dict()[key]) == float(state[key]) + 1 for key in steps)
    if name == "ours":
        next(shown)
        after = second.state_dict()
        assert all(torch.equal(tensor, after[key]) for key, tensor in first.state_dict().items())


@pytest.mark.slow
@pytest.mark.data
def test_mnist_is_measured_and_not_measured_again(test_data: Path, tmp_path: Path) -> None:
    settings = ("classifier.budget.images=20000", *SMALL)
    said: list[str] = []
    asked: dict[str, Any] = {"settings": settings, "minutes": 0.01, "search": (test_data,)}
    found = bench_quality(tmp_path, **asked, say=said.append)
    assert found["cpu_minutes"] == {"ours": "> 0.01", "plain": "> 0.01"}
    assert {len(cell["series"]) for cell in found["cells"].values()} == {1}
    assert said.count("training ours") == 1
    again = bench_quality(tmp_path, **asked, say=said.append)
    assert again["cells"] == found["cells"]
    assert said.count("training ours") == 1
    assert not list(tmp_path.glob("*.safetensors"))
