"""What saves runs that collapse: the account, and what a cell counts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ganlib.bench import collapses
from ganlib.bench.rescue import CODE, account, bench_rescue
from ganlib.bench.salvage import ARMS, _shown
from ganlib.bench.watching import bench_watch
from ganlib.cli.main import main
from ganlib.config import OtherNoise
from ganlib.stages.stamp import source_digest
from ganlib.storage import write_json
from ganlib.training.rescue import Attempt


def row(seed: int, arm: str, healthy: bool, images: int = 1_000, **also: Any) -> dict[str, Any]:
    known = {"recipe": "digits", "cause": "rates", "seed": seed, "arm": arm, "healthy": healthy}
    return known | {"images": images, "budget": 1_000, "seen": None} | also


def test_only_runs_that_end_badly_alone_are_there_to_be_saved() -> None:
    rows = [
        row(1, "alone", False, seen="collapsed (pixels/variance)"),
        row(1, "rescue", True, 1_500),
        row(1, "best", False),
        row(2, "alone", False),
        row(2, "rescue", True, 2_500),
        row(2, "best", True, 3_000),
        row(3, "alone", True),
        row(3, "rescue", False),
        row(3, "best", False),
    ]
    told = account(rows)
    assert (told["runs"], told["collapsing"]) == (3, 2)
    assert told["seen"]["share"] == 0.5
    assert told["arms"]["alone"]["share"] == 0
    assert told["arms"]["alone"]["images"] is None
    rescued, best = told["arms"]["rescue"], told["arms"]["best"]
    assert (rescued["saved"], rescued["runs"], rescued["images"]) == (2, 2, 2_000)
    assert rescued["budgets"] == 2.0
    # Of two of two, 1 - p**2 below 0.025 is the exact bound.
    assert rescued["interval"] == [pytest.approx(math.sqrt(0.025)), 1.0]
    assert (best["share"], best["images"]) == (0.5, 3_000)


@pytest.fixture
def _already(tmp_path: Path) -> None:
    """Cells as the command keeps them: alone the first ends badly, and only a rescue saves it."""
    cells = tmp_path / f"cells-{source_digest(CODE)}"
    for seed, arm, healthy in [
        (1_000, "alone", False), (1_000, "rescue", True), (1_000, "best", False),
        (1_001, "alone", True), (1_001, "rescue", True), (1_001, "best", True),
    ]:  # fmt: skip
        kept = cells / f"digits-rates-{seed}" / arm / "cell.json"
        write_json(kept, row(seed, arm, healthy))


@pytest.mark.usefixtures("_already")
@pytest.mark.parametrize(
    ("asked", "code", "alone", "passed"),
    [
        (["--seeds", "2"], 0, 2, True),
        (["--seeds", "2", "--cause", "rates"], 0, 2, True),  # named twice it counts once
        (["--arm", "best"], 0, 1, None),
        (["--first-seed", "1001"], 0, 1, None),
    ],
)
def test_the_command_counts_what_is_there_and_passes_by_rescues_alone(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    asked: list[str],
    code: int,
    alone: int,
    passed: bool | None,
) -> None:
    asked = asked if "--seeds" in asked else [*asked, "--seeds", "1"]
    asked = asked if "--arm" in asked else [*asked, "--arm", "rescue"]
    command = ["bench", "rescue", "--cause", "rates", "--out", str(tmp_path), "--json", *asked]
    assert main(command) == code
    told = json.loads(capfd.readouterr().out, parse_constant=pytest.fail)["result"]
    assert (told["runs"], told["passed"]) == (alone, passed)


@pytest.mark.slow
def test_every_arm_is_run_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On real digits, by short runs of small players and a hardly trained judge."""
    for name, value in {
        "budget.images": 5_120, "generator.network.width": 8, "discriminator.network.width": 8
    }.items():  # fmt: skip
        monkeypatch.setitem(collapses.GAN, name, value)
    scene = collapses.Scene("digits", {"classifier.budget.images": 1_280}, collapses.GAN)
    monkeypatch.setitem(collapses.SCENES, "digits", scene)
    said: list[str] = []

    def bench() -> dict[str, Any]:
        return bench_rescue(tmp_path, seeds=1, causes=("rates",), say=said.append)

    told = bench()
    rows = {row["arm"]: row for row in told["rows"]}
    assert list(rows) == ["alone", *ARMS]
    assert len(said) == 5
    assert rows["alone"]["ended"] == "budget"
    assert rows["alone"]["seen"].startswith("collapsed (")
    assert not rows["alone"]["healthy"]
    assert rows["rollback"]["attempts"][0].endswith("with other_noise")
    for arm, row in rows.items():
        assert row["images"] >= 5_120 or row["ended"] == "collapsed"
        assert list(Path(row["pictures"]).glob("*.png")), arm
    assert bench()["rows"] == told["rows"]
    assert len(said) == 5


def test_a_cause_or_arm_that_is_none_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for option, known in (("--cause", "momentum"), ("--arm", "rollback")):
        assert main(["bench", "rescue", option, "prayer", "--out", str(tmp_path)]) == 2
        told = capfd.readouterr().err
        assert "'prayer' is none of" in told
        assert known in told


def test_images_of_attempts_that_were_given_up_count() -> None:
    def attempt(clock: int, collapsed_at: int) -> Attempt:
        noise = OtherNoise()
        return Attempt(policy=noise, clock=clock, collapsed_at=collapsed_at, seen="collapsed")

    assert _shown([], 900) == 900
    assert _shown([attempt(200, 500), attempt(0, 600)], 900) == 500 + 400 + 900


def test_readings_are_a_share_of_the_time_between_them(tmp_path: Path) -> None:
    told = bench_watch("digits", rounds=1, every=640, out=tmp_path)
    assert 0 < told["share"] < 10
    assert told["share"] == pytest.approx(told["reading_s"] / told["training_s"], rel=1)
    assert told["first_s"] > 0
    assert told["passed"] is None  # at the recipe's own cadence alone
