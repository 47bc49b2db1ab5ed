"""The training benchmarks measure what they say, for a second each."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ganlib.bench import quality
from ganlib.bench.peak import convolutions
from ganlib.bench.processes import measure, player
from ganlib.bench.scale import bench_scale
from ganlib.bench.sides import plain_players
from ganlib.bench.train import bench_train, interval_of_median
from ganlib.config import load_recipe, overlay, parse_assignments
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
    assert found["turns"] == 1  # of .3 s
    assert found["ratio"] == turn["ours_images_per_s"] / turn["plain_images_per_s"]
    assert found["ratio_spread"] == [found["ratio"], found["ratio"]]
    assert found["ratio_interval"] is None
    assert -0.9 < found["overhead"] == turn["overhead"] < 10
    done = found["images_per_s"] * found["mflop_per_image"]["ours"] / 1000
    assert found["gflops"]["ours"] == pytest.approx(done)
    peaks = found["peak_gflops"]["float32"]
    assert min(peaks.values()) < peaks["together"] < max(peaks.values())
    assert found["settings"]["gan.generator.network.width"] == 8
    assert min(found["peak_mb"].values()) > 50
    assert found["passed"] is None
    json.dumps(found)


@pytest.mark.slow
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


def test_a_player_that_fails_between_turns_says_why(tmp_path: Path) -> None:
    asked = {"side": "plain", "recipe": "digits", "settings": {}, "threads": 1}
    with player(asked) as loop:
        assert loop.turn(0.05) > 0
        loop._process.kill()
        loop._process.wait()
        with pytest.raises(StageFailed, match="a measurement failed"):
            loop.turn(0.05)


def test_the_interval_of_a_median_misses_as_rarely_as_the_sign_test_says() -> None:
    assert interval_of_median([1.0, 2, 3, 4, 5]) is None
    assert interval_of_median([6.0, 5, 1, 2, 3, 4]) == [1, 6]  # 2 / 2^6 is 3.1 %
    # Of 100, Conover's table: the 40th and the 61st.
    assert interval_of_median([float(n) for n in range(1, 101)]) == [40, 61]


def test_the_convolutions_of_a_recipe_are_those_of_its_networks() -> None:
    config = overlay(load_recipe("digits"), dict(parse_assignments(SMALL)))
    players = plain_players(config)
    label = torch.zeros(config.gan.batch_size, dtype=torch.long)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        players[1](players[0](torch.randn(len(label), players[0].latent_size), label), label)
    flop = 0
    for (image, weight, stride, padding, _, transposed, *_rest), count in convolutions(
        config
    ).items():
        side = image[2] if transposed else (image[2] + 2 * padding[0] - weight[2]) // stride[0] + 1
        flop += count * 2 * image[0] * side**2 * prod(weight)
    assert flop == counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
