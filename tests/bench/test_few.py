"""Few images, tiny networks: what is drawn, what is kept, and that a cut run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from ganlib.bench.few import at_the_end, bench_few, summary, table
from ganlib.bench.scarce import Lab, distortion
from ganlib.config import load_recipe
from ganlib.data import prepare
from ganlib.errors import ConfigError

TINY = (
    "classifier.network.width=4",
    "classifier.budget.images=640",
    "gan.budget.images=640",
    "gan.generator.network.width=4",
    "gan.discriminator.network.width=4",
)


def bench(out: Path, **options: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"dataset": "digits", "per_class": (3,), "seeds": 2, "generated": 10}
    return bench_few(out, settings=TINY, **asked | options)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    config = load_recipe("digits")
    return Lab(config, prepare(config.data, tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("whole")
    return out, bench(out)


def test_so_many_of_each_class_are_drawn_and_fewer_are_among_more(lab: Lab) -> None:
    few, more, other = lab.drawn(3, 1), lab.drawn(7, 1), lab.drawn(3, 2)
    assert torch.bincount(few.label_N).tolist() == [3] * 10
    assert torch.bincount(more.label_N).tolist() == [7] * 10
    for k in range(10):
        first = more.image_NHWC[more.label_N == k][:3]
        assert torch.equal(few.image_NHWC[few.label_N == k], first)
    assert not torch.equal(few.image_NHWC, other.image_NHWC)
    known = {image.numpy().tobytes() for image in lab.train.image_NHWC}
    assert {image.numpy().tobytes() for image in more.image_NHWC} <= known


def test_more_than_there_are_is_refused_with_the_number_there_is(lab: Lab) -> None:
    least = int(torch.bincount(lab.train.label_N).min())
    with pytest.raises(ConfigError, match=f"has {least}"):
        lab.drawn(least + 1, 0)
    assert len(lab.drawn(least, 0)) == 10 * least


def test_strength_one_warps_as_the_recipe_for_lenet5_and_shifts_by_two_of_28_pixels() -> None:
    recipe = load_recipe("mnist-lenet5").classifier.distortion
    assert distortion(1, 28) == recipe.model_copy(update={"shift": 2})
    assert not distortion(0, 28).warps
    assert not distortion(0, 28).moves


def test_the_gain_is_of_the_same_images_and_every_part_is_kept(
    whole: tuple[Path, dict[str, Any]],
) -> None:
    out, told = whole
    assert [(cell["per_class"], cell["seed"]) for cell in told["cells"]] == [(3, 0), (3, 1)]
    for cell in told["cells"]:
        assert cell["gain"] == cell["both"] - cell["classical"]
        folder = (out / cell["picture"]).parent
        assert (folder / "real-and-generated.png").read_bytes().startswith(b"\x89PNG")
        for part in ("classical", "generated", "both"):
            kept = json.loads((folder / f"{part}.json").read_text())
            assert kept["accuracy"] == cell[part] == fmean(kept["accuracies"])
            assert len(kept["accuracies"]) == 2
    tried = told["tuning"]["3"]["tried"]
    best = max(tried, key=lambda one: one["validation_accuracy"])
    assert told["tuning"]["3"]["strength"] == best["strength"]
    assert not set(told["seeds"]) & set(told["tuning_seeds"])
    assert told["rows"] == [summary(3, told["cells"])]
    assert len(told["warnings"]) == (best["strength"] == 3)
    json.dumps(told)


@pytest.mark.parametrize(
    "cut", ["strength 2", "seed 0: classifiers on generated", "GAN on 30 real images, seed 1"]
)
def test_a_run_that_is_cut_goes_on_to_the_same_numbers(
    cut: str, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    def stop(text: str) -> None:
        if cut in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path, say=stop)
    results = [*tmp_path.glob("tuning-*.json"), *tmp_path.glob("few-*/*.json")]
    kept = {path: path.stat().st_mtime_ns for path in results}
    assert kept
    told = bench(tmp_path)
    assert [cell["accuracies"] for cell in told["cells"]] == [
        cell["accuracies"] for cell in whole[1]["cells"]
    ]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_nothing_is_trained_twice(whole: tuple[Path, dict[str, Any]]) -> None:
    out, told = whole
    said: list[str] = []
    assert bench(out, say=said.append) == told
    assert not [text for text in said if "GAN" in text or "classifiers" in text]


@pytest.mark.parametrize(("best", "warned"), [(3.0, True), (2.0, False), (0.0, False)])
def test_it_warns_where_the_strongest_distortion_is_the_best(best: float, warned: bool) -> None:
    tried = [{"strength": strength} for strength in (0.0, 1.0, 2.0, 3.0)]
    text = at_the_end("10", {"strength": best, "tried": tried})
    assert bool(text) == warned
    assert text.startswith("10 of each class: the strongest distortion tried, 3,") == warned


def test_means_and_their_intervals_by_hand() -> None:
    cells = [
        {"classical": a, "generated": 0.5, "both": a + gain, "gain": gain}
        for a, gain in ((0.80, 0.02), (0.84, 0.0), (0.88, 0.04))
    ]
    row = summary(10, cells)
    assert row["classical"] == pytest.approx(0.84)
    t = 4.302653  # of two degrees of freedom, 97.5 %
    half = t * 0.04 / 3**0.5
    assert row["classical_interval"] == pytest.approx([0.84 - half, 0.84 + half])
    assert row["gain"] == pytest.approx(0.02)
    half = t * 0.02 / 3**0.5
    assert row["gain_interval"] == pytest.approx([0.02 - half, 0.02 + half])
    assert row["generated_interval"] == [0.5, 0.5]
    columns, rows = table([row, summary(50, cells[:1])])
    assert columns == (
        "per class", "classical +- 95 %", "generated +- 95 %", "both +- 95 %", "gain +- 95 %"
    )  # fmt: skip
    assert rows[0] == ("10", "84.00 +- 9.94", "50.00 +- 0.00", "86.00 +- 13.14", "+2.00 +- 4.97")
    assert rows[1] == ("50", "80.00", "50.00", "82.00", "+2.00")
