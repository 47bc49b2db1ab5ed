"""The training benchmarks measure what they say, for a second each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganlib.bench import quality
from ganlib.bench.scale import bench_scale
from ganlib.bench.train import bench_train, measure
from ganlib.errors import ConfigError, StageFailed

SMALL = ("gan.generator.network.width=8", "gan.discriminator.network.width=8")


def test_it_reports_both_loops_and_what_limits_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = {"cpu_minutes": {"ours": 1.5, "plain": "> 10"}}
    monkeypatch.setattr(quality, "bench_quality", lambda out, **_: reached | {"out": str(out)})
    found = bench_train(
        "digits", settings=SMALL, threads=1, rounds=1, seconds=0.3, quality=tmp_path
    )
    assert found["quality"] == reached | {"out": str(tmp_path)}
    turn = found["rounds"][0]
    assert found["ratio"] == turn["ours_images_per_s"] / turn["plain_images_per_s"]
    assert found["ratio_spread"] == [found["ratio"], found["ratio"]]
    assert found["overhead_spread"] == [turn["overhead"], turn["overhead"]]
    assert -0.9 < turn["overhead"] < 10
    done = found["images_per_s"] * found["mflop_per_image"]["ours"] / 1000
    assert found["gflops"]["ours"] == pytest.approx(done)
    assert found["gflops"]["ours"] < max(found["peak_gflops"].values())
    assert found["settings"]["gan.generator.network.width"] == 8
    assert min(found["peak_mb"].values()) > 50
    assert found["passed"] is None
    json.dumps(found)


def test_layouts_are_measured_in_turns() -> None:
    found = bench_scale("digits", settings=SMALL, rounds=1, seconds=0.3)
    first, *others = found["layouts"]
    assert found["ratio"][first] == 1
    assert others
    for name in others:
        rates = found["images_per_s"]
        assert found["ratio"][name] == rates[name] / rates[first]
    json.dumps(found)


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not divide by the 3 processes"):
        bench_scale("digits", threads=3, settings=["gan.batch_size=64"], rounds=1, seconds=0.1)


def test_what_the_plain_loop_does_not_know_is_refused() -> None:
    for setting in ("gan.penalties.r1.gamma=1", "gan.discriminator.packing=2"):
        with pytest.raises(ConfigError, match=setting.split("=")[0].rsplit(".", 2)[0]):
            bench_train("digits", settings=[setting], rounds=1, seconds=0.1)


def test_a_measurement_that_fails_says_why() -> None:
    with pytest.raises(StageFailed, match="no_such"):
        measure({"side": "ours", "recipe": "no_such", "settings": {}, "threads": 1})
