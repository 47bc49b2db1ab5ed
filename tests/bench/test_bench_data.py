"""The benchmark measures what it says, at a size that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganlib.bench.data import bench_data


def test_it_reports_rates_ratio_and_memory(tmp_path: Path) -> None:
    found = bench_data(200, rounds=1, workers=1, search=(tmp_path,))
    assert found["pictures"] == "digits"
    assert found["cores"] == 1
    expected = found["images_per_s"] / found["plain_images_per_s_one_core"]
    assert found["ratio"] == expected
    assert found["peak_mb"]["full"]["parent"] > 20
    assert found["peak_mb"]["quarter"]["worker"] > 10
    json.dumps(found)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_files(test_data: Path) -> None:
    """And the rate is what is promised, on a machine that does nothing else."""
    found = bench_data(20_000, search=(test_data,))
    for process, full in found["peak_mb"]["full"].items():
        assert full <= 1.1 * found["peak_mb"]["quarter"][process] + 4
    assert found["passed"], found
