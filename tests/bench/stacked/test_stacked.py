"""Stacks whose digits can be read off a pixel: modes, floors, and runs that are cut and go on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from ganlib.bench import kept
from ganlib.bench.names import Name
from ganlib.bench.stacked import networks
from ganlib.bench.stacked.cells import Cell, measured
from ganlib.bench.stacked.digits import Stacks
from ganlib.bench.stacked.judge import judged, probabilities
from ganlib.bench.stacked.learning import Learner, Limit
from ganlib.bench.stacked.methods import easy, hard, stacks_of
from ganlib.cli.commands import bench_stacked as command
from ganlib.config import Custom, DcganDiscriminator, GanConfig, overlay
from ganlib.data import Images
from ganlib.determinism import stream
from ganlib.errors import ConfigError

LABELS = torch.arange(10).repeat_interleave(3)
NAMES: tuple[Name, ...] = get_args(Name)


PAID = {"wgan_gp": ("wgan_gp",), "r1": ("r1",), "r3gan": ("r1", "r2"), "best": ("r1", "r2")}
LOSSES = {
    "lsgan": "least_squares",
    "wgan_gp": "wasserstein",
    "r3gan": "relativistic_paired",
    "best": "relativistic_paired",
}


def digits(label_N: Tensor = LABELS) -> Images:
    """A digit is an image that is 20 times as bright as its number."""
    image_NHWC = (20 * label_N)[:, None, None, None].expand(-1, 28, 28, 1)
    return Images(image_NHWC.to(torch.uint8).contiguous(), label_N)


def classify(image_NHWC: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest brightness, and less sure of it the further away it is."""
    bright_N = image_NHWC.double().mean((1, 2, 3)) / 20
    logits_NK = -20 * (bright_N[:, None] - torch.arange(10)).abs()
    return logits_NK, logits_NK


def test_a_stack_is_three_digits_and_its_mode_their_number() -> None:
    image_NHWC, mode_N = Stacks(digits()).draw(500, stream(0, "test"))
    assert image_NHWC.shape == (500, 28, 28, 3)
    red, green, blue = (image_NHWC[:, 5, 7, channel].long() // 20 for channel in range(3))
    assert torch.equal(100 * red + 10 * green + blue, mode_N)
    assert len(mode_N.unique()) > 300


def test_fixed_stacks_come_again_and_others_hardly_ever() -> None:
    many = Images(torch.arange(256).to(torch.uint8)[:, None, None, None].expand(-1, 28, 28, 1),
                  torch.arange(256) % 10)  # fmt: skip
    for fixed, most in ((40, 40), (0, 1_000)):
        image_NHWC, _ = Stacks(many, fixed).draw(1_000, stream(3, "test"))
        seen = {tuple(one) for one in image_NHWC[:, 0, 0].tolist()}
        assert len(seen) <= most
        assert len(seen) > 0.95 * most


@pytest.mark.parametrize(("fixed", "expected"), [(0, 0.0192), (128_000, 0.0192 + 1 / 256)])
def test_the_floor_is_what_counts_of_a_thousand_spread_alike(fixed: int, expected: float) -> None:
    """(M - 1) / 2N of the 26,000 judged, and as much again of the 128,000 they are from."""
    floor = Stacks(digits(), fixed).floor()
    assert floor.divergence == pytest.approx(expected, abs=0.0015)
    assert 0 < floor.divergence_spread < 0.002


def test_modes_of_stacks_by_hand() -> None:
    image_NHWC = torch.zeros(4, 28, 28, 3, dtype=torch.uint8)
    for place, number in enumerate([(1, 2, 3), (1, 2, 3), (9, 0, 4)]):
        image_NHWC[place] = 20 * torch.tensor(number)
    image_NHWC[3] = 30  # between 1 and 2 in all three: nobody can be sure
    probability_NM = probabilities(image_NHWC, classify)
    assert probability_NM.shape == (4, 1000)
    assert probability_NM.argmax(1)[:3].tolist() == [123, 123, 904]
    assert probability_NM[3].max() == pytest.approx(1 / 8, rel=0.01)
    found = judged(image_NHWC, classify)
    assert (found.modes, found.sure_modes, found.sure_share) == (3, 2, 0.75)
    by_hand = 2 / 3 * math.log(2 / 3 * 1000) + 1 / 3 * math.log(1 / 3 * 1000)
    assert found.sure_divergence == pytest.approx(by_hand)
    assert judged(image_NHWC[3:], classify).sure_divergence is None


def test_all_real_stacks_are_found_for_sure() -> None:
    image_NHWC, _ = Stacks(digits()).draw(12_000, stream(1, "test"))
    found = judged(image_NHWC, classify)
    assert found.modes == found.sure_modes == 1_000
    assert found.sure_share == 1


@pytest.mark.parametrize("name", NAMES)
def test_methods_are_what_their_names_say(name: Name) -> None:
    for config in (easy(name, "paper", 4), easy(name, "ours", 4), hard(name, "half", 4)):
        assert config.seed == 4
        small = isinstance(config.discriminator.network, Custom)
        packs = {"pacgan2": 2, "pacgan4": 4, "best": 4 if small else 1}
        assert config.discriminator.packing == packs.get(name, 1)
        assert config.discriminator.steps == (5 if name == "wgan_gp" else 1)
        assert bool(config.discriminator.unrolled) == (name == "unrolled")
        assert config.penalties.names() == PAID.get(name, ())
        assert config.loss.kind == LOSSES.get(name, "non_saturating")
        assert (config.ema.half_life > 0) == (name == "best")
    normed = easy(name, "ours", 4).discriminator.network
    assert isinstance(normed, DcganDiscriminator)
    assert (normed.norm == "none") == (name in PAID)
    assert bool(normed.minibatch_stddev) == (name == "minibatch_stddev")
    assert stacks_of("paper") == 128_000
    assert hard("plain", "quarter", 0).generator.optimiser.learning_rate == 1e-4


def test_the_papers_small_networks_have_their_channels() -> None:
    made = networks.generator(size=28, channels=3, classes=1)
    image = made(torch.randn(2, 256), torch.zeros(2))
    assert image.shape == (2, 3, 28, 28)
    for width in (2, 4):
        judge = networks.discriminator(size=28, channels=6, classes=1, width=width)
        channels = [p.shape[0] for p in judge.parameters() if p.ndim == 4]
        assert channels == [width, 2 * width, 4 * width]
        assert judge(torch.randn(5, 6, 28, 28), torch.zeros(5)).shape == (5,)
    with pytest.raises(ValueError, match="32 pixels"):
        networks.generator(size=32, channels=3, classes=1)


@pytest.mark.parametrize("name", NAMES)
def test_each_method_learns_from_stacks(name: Name) -> None:
    for config in (easy(name, "ours", 4), hard(name, "quarter", 4)):
        small: GanConfig = overlay(config, {"batch_size": 8})
        learner = Learner(small, Stacks(digits()))
        before = {key: tensor.clone() for key, tensor in learner.task.state_dict().items()}
        assert learner.step(0) == (40 if name == "wgan_gp" else 8)
        after = learner.task.state_dict()
        for player in ("generator", "discriminator"):
            own = [key for key in after if key.startswith(f"{player}.") and "weight" in key]
            assert any(not torch.equal(before[key], after[key]) for key in own)
        assert all(tensor.isfinite().all() for tensor in after.values())


def cell(name: Name, images: int = 400, **changes: Any) -> Cell:
    config: GanConfig = overlay(hard(name, "quarter", 6), {"batch_size": 40} | changes)
    return Cell("stacked-mnist-hard", name, "ours", "quarter", (config,), Limit(9.0, images), "j")


@pytest.fixture
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples, and a look and a state after every other step."""
    monkeypatch.setattr("ganlib.bench.stacked.learning.FIRST", 80)
    monkeypatch.setattr("ganlib.bench.stacked.learning.SAVED", 0.0)
    samples = Learner.samples
    monkeypatch.setattr(Learner, "samples", lambda learner, count=200: samples(learner, count))


def bench(one: Cell, folder: Path, say: Any = lambda text: None, fresh: bool = False) -> Any:
    stacks = Stacks(digits())
    return measured(one, folder, stacks, stacks.floor(), classify, fresh=fresh, say=say)


@pytest.mark.usefixtures("_looks_often")
@pytest.mark.parametrize("name", ["plain", "pacgan2", "best"])
def test_a_cut_run_goes_on_to_the_same_samples(name: Name, tmp_path: Path) -> None:
    one = cell(name)
    whole = bench(one, tmp_path / "whole")
    row = whole["rows"][0]
    assert row["images"] == 400
    assert [look["images"] for look in row["looks"]][:2] == [80, 120]
    assert "a quarter of the channels, batch 40" in whole["protocol_in_words"]
    assert whole["protocol_in_words"].count("9 minutes or 400 images") == 1
    assert row["looks"][-1]["images"] == 400

    def stop(text: str) -> None:
        if " 200 images" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(one, tmp_path / "cut", stop)
    shown: list[int] = []
    step = Learner.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "step", lambda game, at: (shown.append(at), step(game, at))[1])
        again = bench(one, tmp_path / "cut")
    assert shown[0] == 160  # what was looked at last had not been kept
    both = []
    for place in ("whole", "cut"):
        with np.load(tmp_path / place / "seed-6.npz") as file:
            assert file["samples"].dtype == np.uint8
            both.append(file["samples"])
    assert both[0].shape == (200, 28, 28, 3)
    assert (both[0] == both[1]).all()
    assert [look["modes"] for look in again["rows"][0]["looks"]] == [
        look["modes"] for look in row["looks"]
    ]
    json.dumps(again)


@pytest.mark.usefixtures("_looks_often")
def test_what_is_done_is_not_done_again_and_something_else_is_refused(tmp_path: Path) -> None:
    first = bench(cell("plain", 80), tmp_path)
    assert bench(cell("plain", 80), tmp_path) == first
    for name in ("seed-6.png", "curves-6.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("unfinished*"))
    with pytest.raises(ConfigError, match="another limit"):
        bench(cell("plain", 120), tmp_path)
    with pytest.raises(ConfigError, match="another method, gan"):
        bench(cell("best", 80), tmp_path)
    assert bench(cell("plain", 120), tmp_path, fresh=True)["rows"][0]["images"] == 120


def test_training_ends_with_the_first_limit() -> None:
    limit = Limit(minutes=2.0, images=1_000)
    assert not limit.reached({"images": 999, "seconds": 119.0})
    assert limit.reached({"images": 1_000, "seconds": 0.0})
    assert limit.reached({"images": 0, "seconds": 120.0})


def test_the_table_has_a_row_for_each_seed_paper_and_real_stacks() -> None:
    real = {"modes": 1000, "sure_modes": 1000, "divergence": 0.03, "sure_share": 0.98}
    row = real | {"seed": 3, "images": 5_000, "seconds": 12.0, "load_average": 1.0}
    rows = [row, row | {"seed": 4, "modes": 990}]
    summary = {
        name: kept.summary([one[name] for one in rows])
        for name in ("modes", "divergence", "sure_modes", "sure_share")
    }
    summary["divergence_above_floor"] = kept.summary([0.01, 0.03])
    told = {
        "floor": {"divergence": 0.02},
        "cells": [
            {"method": "best", "rows": rows, "summary": summary},
            {"method": "plain", "rows": rows[:1], "summary": {}},
        ],
        "published": [{"method": "GAN", "modes": 30.6, "divergence": None, "source": "there"}],
        "judge": {"of_held_out_stacks": real},
    }
    shown = command.rows(told)
    assert all(len(one) == len(command.COLUMNS) for one in shown)
    assert [one[0] for one in shown] == [
        "best, seed 3", "best, seed 4", "best, mean", "plain, seed 3", "GAN, there",
        "real stacks, held out", "the floor: real stacks by their labels",
    ]  # fmt: skip
    assert shown[0][4] == "0.0100"
    assert shown[2][1:5] == (
        "995.0 +- 5.0",
        "1000.0 +- 0.0",
        "0.0300 +- 0.0000",
        "0.0200 +- 0.0100",
    )
    assert shown[-1][3] == "0.0200"
