"""GANs of many kinds: tiny ones on real MNIST, what they are told by, and what is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganlib.bench.allowance import Allowance
from ganlib.bench.gans import DATASETS, RECIPES, _config, bench_gans, table
from ganlib.config import load_recipe
from ganlib.errors import ConfigError
from ganlib.storage import open_store
from ganlib.training.loop import Moment, Report
from ganlib.training.snapshots import Snapshots

TINY = (
    "classifier.network.width=1",
    "classifier.budget.images=2000",
    "evaluation.samples=300",
    "evaluation.repeats=2",
    "gan.budget.images=3000",
    "gan.cadence.snapshot=1000",
)
ASKED: dict[str, Any] = {
    "recipes": ("classic-mnist-gan", "mnist-lsgan"),
    "datasets": ("mnist",),
    "seed": 5,
    "settings": TINY,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, test_data: Path) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("gans")
    return out, bench_gans(out, **ASKED, search=(test_data,))


@pytest.mark.data
def test_each_recipe_is_trained_and_judged_as_an_evaluation(
    whole: tuple[Path, dict[str, Any]],
) -> None:
    out, told = whole
    assert [cell["recipe"] for cell in told["cells"]] == list(ASKED["recipes"])
    classic, lsgan = told["cells"]
    for cell in told["cells"]:
        rows = {row["metric"]: row for row in cell["rows"]}
        assert cell["coverage"] == rows["coverage"]["value"]
        assert rows["coverage"]["floor"] > cell["coverage"]
        assert rows["coverage"]["count"] == 300
        assert cell["images"] >= 3000
        assert cell["images_per_cpu_second"] == cell["images"] / cell["cpu_seconds"]
        assert cell["ended_by"] == "budget"
        assert sum(cell["shares"].values()) == pytest.approx(1)
        assert Path(cell["grid"]).read_bytes().startswith(b"\x89PNG")
        assert cell["gan"]["seed"] == cell["seed"] == 5
    assert classic["label_agreement"] is None
    assert 0 <= lsgan["label_agreement"] <= 1
    assert told["passed"] == all(cell["classes_present"] == 10 for cell in told["cells"])
    assert 0.1 < told["judges"]["mnist"]["accuracy"] <= 1
    assert {path.name for path in (out / "mnist").glob("judge-*")} == {
        f"{path.stem}{end}"
        for path in (out / "mnist").glob("judge-*.json")
        for end in ("", ".json")
    }
    json.dumps(told)


@pytest.mark.data
def test_what_is_done_is_not_done_again(
    whole: tuple[Path, dict[str, Any]], test_data: Path
) -> None:
    out, told = whole
    said: list[str] = []
    again = bench_gans(out, **ASKED, search=(test_data,), say=said.append)
    assert again == told
    assert len(said) == 2
    assert not [text for text in said if "training" in text]


@pytest.mark.data
@pytest.mark.slow
def test_a_cell_that_was_cut_goes_on_from_its_snapshot_to_the_same_figures(
    whole: tuple[Path, dict[str, Any]],
    test_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cut(self: Allowance, clock: int) -> bool:
        if clock > 2000:
            raise KeyboardInterrupt
        return False

    _with_judge(whole[0], tmp_path)
    asked = ASKED | {"recipes": ("classic-mnist-gan",)}
    with monkeypatch.context() as patch:
        patch.setattr(Allowance, "used_up", cut)
        with pytest.raises(KeyboardInterrupt):
            bench_gans(tmp_path, **asked, search=(test_data,))
    (run,) = tmp_path.glob("mnist/classic-*/run")
    before = json.loads((run / "cpu.json").read_text())
    cell = bench_gans(tmp_path, **asked, search=(test_data,))["cells"][0]
    after = json.loads((run / "cpu.json").read_text())
    assert after["1024"] == before["1024"]
    assert cell["cpu_seconds"] == after[str(cell["images"])] > after["1024"]
    uncut = whole[1]["cells"][0]
    assert [row["value"] for row in cell["rows"]] == [row["value"] for row in uncut["rows"]]


def _with_judge(out: Path, copy: Path) -> None:
    """The data and the judge, and no GAN."""
    shutil.copytree(out, copy, ignore=shutil.ignore_patterns("*-seed-*"), dirs_exist_ok=True)


@pytest.mark.data
def test_training_ends_before_another_stretch_would_be_too_long(
    whole: tuple[Path, dict[str, Any]], test_data: Path, tmp_path: Path
) -> None:
    _with_judge(whole[0], tmp_path)
    asked = ASKED | {"recipes": ("mnist-wgan-gp",), "minutes": 1e-4}
    cell = bench_gans(tmp_path, **asked, search=(test_data,))["cells"][0]
    assert cell["ended_by"] == "cpu_minutes"
    assert cell["images"] == 1024


def clocks(folder: Path, *kept: int) -> None:
    for clock in kept:
        Snapshots(open_store(str(folder / "snapshots"))).save(clock, {}, {}, {})


def ticking(*times: float) -> Callable[[], float]:
    left = iter(times)
    return lambda: next(left)


def test_seconds_are_those_of_the_snapshot_that_is_gone_on_from(tmp_path: Path) -> None:
    first = Allowance(tmp_path, 100, ticking(7, 17, 37, 67))
    for clock in (1000, 2000, 3000):
        report: Moment = Report(clock, {})
        first.moment(report)
    assert first.at == {0: 0, 1000: 10, 2000: 30, 3000: 60}
    clocks(tmp_path, 1000, 2000)
    second = Allowance(tmp_path, 100, ticking(5, 25))
    second.moment(Report(3000, {}))
    assert second.at == {0: 0, 1000: 10, 2000: 30, 3000: 50}


def test_it_is_used_up_where_another_stretch_does_not_fit(tmp_path: Path) -> None:
    allowance = Allowance(tmp_path, 30, ticking(0, 10, 20, 31))
    for clock, over in ((1000, False), (2000, False), (3000, True)):
        allowance.moment(Report(clock, {}))
        assert allowance.used_up(clock) == over


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "cpu.json").write_text("[1]")
    clocks(tmp_path, 1000)
    assert Allowance(tmp_path, 1).at == {0: 0.0}


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_cell_has_the_recipes_gan_and_the_datasets_judge(dataset: str, recipe: str) -> None:
    config, own = _config(dataset, recipe, 7, {}), load_recipe(dataset)
    assert config.data.source == own.data.source
    assert (config.classifier, config.evaluation) == (own.classifier, own.evaluation)
    assert config.gan.seed == 7
    gan = load_recipe(recipe).gan
    if (dataset, recipe) == ("fashion-mnist", "mnist-sn-resnet"):
        twice = gan.discriminator.model_copy(update={"steps": 2})
        gan = gan.model_copy(update={"discriminator": twice})
    assert config.gan.model_copy(update={"seed": 1}) == gan
    assert _config(dataset, recipe, 7, {"gan.budget.images": 777}).gan.budget.images == 777


def test_a_misspelt_setting_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gan\.budgte"):
        bench_gans(tmp_path, settings=("gan.budgte.images=1",))
    assert not list(tmp_path.iterdir())


def test_the_table_has_a_dash_where_there_is_no_value() -> None:
    cell = {
        "dataset": "mnist",
        "recipe": "r",
        "changed": {},
        "scaled_distance": 0.01234,
        "coverage": 0.5,
        "recall": 0.25,
        "intra_class_coverage": 0.125,
        "intra_class_coverage_min": 0.1,
        "classes_present": 9.5,
        "label_agreement": None,
        "images": 12_000,
        "cpu_seconds": 6.4,
        "images_per_cpu_second": 1875.0,
    }
    columns, rows = table([cell])
    assert " ".join(rows[0]) == "mnist r 0.0123 0.500 0.250 0.125 0.100 9.5 - 12,000 6 1,875"
    assert len(columns) == len(rows[0])
    _, rows = table([cell | {"changed": {"gan.discriminator.steps": 2}}])
    assert rows[0][1] == "r (gan.discriminator.steps=2)"
