"""What saves runs that collapse: the account, and what a cell counts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ganlib.bench.rescue import account
from ganlib.bench.salvage import _shown
from ganlib.bench.watching import bench_watch
from ganlib.config import OtherNoise
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
