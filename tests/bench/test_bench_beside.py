"""Evaluated inside and beside: the same run twice, timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlib.bench.beside import bench_beside

SMALL = (
    "gan.generator.network.width=8",
    "gan.discriminator.network.width=8",
    "gan.budget.images=2560",
    "gan.cadence.evaluate=640",
    "classifier.budget.images=1280",
)


@pytest.mark.slow
def test_both_ways_come_to_the_same_and_are_not_run_again(tmp_path: Path) -> None:
    told = bench_beside(tmp_path, "digits", rounds=1, settings=SMALL)
    assert told["same"]
    assert told["evaluations"] == 4
    for way in ("inside", "beside"):
        assert 0 < told[f"stood_s_{way}"] < told[f"seconds_{way}"]
    again = bench_beside(tmp_path, "digits", rounds=1, settings=SMALL)
    assert again["time_ratio"] == told["time_ratio"]
