"""The benchmark measures what it says, at a size that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

from ganlib.bench import bench_data


def test_it_reports_rates_ratio_and_memory(tmp_path: Path) -> None:
    found = bench_data(200, rounds=1, workers=1, search=(tmp_path,))
    assert found["pictures"] == "digits"
    assert found["cores"] == 1
    expected = found["images_per_s"] / found["plain_images_per_s_one_core"]
    assert found["ratio"] == expected
    assert found["peak_mb"]["full"]["parent"] > 20
    assert found["peak_mb"]["quarter"]["worker"] > 10
    json.dumps(found)
