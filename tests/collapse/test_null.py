"""Real digits score nothing against themselves, and less varied ones score far below."""

from __future__ import annotations

import math

import pytest
import torch

from ganlib.collapse import Eye, Null, Sample
from ganlib.collapse.null import FARTHEST, SCALES, Scale, split
from ganlib.config import DetectorConfig

CONFIG = DetectorConfig(samples=200, reals=1000)


@pytest.fixture(scope="module")
def eye(digits, judge):
    return Eye.on(digits[0][:1000], digits[1][:1000], judge, config=CONFIG)


def test_real_images_that_were_not_looked_at_are_inside(eye, digits):
    scores = eye.null.scores(eye.read(digits[0][1000:], digits[1][1000:]))
    assert len(scores) == 14
    assert max(map(abs, scores.values())) < 2.5


@pytest.mark.parametrize("kept", [1, 5, 20])
def test_few_images_over_and_over_are_outside(eye, digits, kept):
    image = digits[0][1000 : 1000 + kept].repeat(200, 1, 1, 1)
    scores = eye.null.scores(eye.read(image))
    for name in ("neighbour_distance", "effective_rank", "repeated", "coverage"):
        assert scores[f"pixels/{name}"] < -4


def test_ratios_are_shares_of_what_real_images_score(eye, digits):
    found = eye.null.ratios(eye.read(digits[0][1000:], digits[1][1000:]))
    assert found["pixels/variance"] == pytest.approx(1, rel=0.1)
    assert found["features/neighbour_distance"] == pytest.approx(1, rel=0.2)
    assert found["classes/entropy"] == pytest.approx(math.log(10), abs=0.1)


def test_scores_by_hand():
    null = Null({"pixels/variance": math.log(2.0), "pixels/repeated": -0.1}, {})
    with pytest.raises(KeyError):
        null.scores({"pixels/variance": 1.0})
    null = Null(null.centre, {"pixels/variance": 0.15, "pixels/repeated": 0.0})
    assert SCALES["variance"] == Scale(ratio=True, tolerance=0.2)
    found = null.scores({"pixels/variance": 1.0, "pixels/repeated": 0.6, "pixels/support": 9.0})
    assert found == {
        "pixels/variance": pytest.approx(-math.log(2) / 0.25),
        "pixels/repeated": pytest.approx(-0.5 / 0.1),
    }
    assert null.scores({"pixels/variance": 0.0}) == {"pixels/variance": -FARTHEST}


def test_subsets_that_overlap_have_their_spread_put_right(digits):
    """Drawn from few others, subsets differ less than fresh samples would."""
    few, many = (
        Eye.on(digits[0][:count], config=DetectorConfig(samples=100, draws=64)).null
        for count in (310, 1300)
    )
    name = "pixels/effective_rank"
    assert few.spread[name] == pytest.approx(many.spread[name], rel=0.6)


def test_a_third_is_held_back_and_too_few_are_refused():
    sample = Sample(torch.arange(60.0)[:, None])
    fixed, others = split(sample, 256, seed=0)
    assert (len(fixed), len(others)) == (20, 40)
    assert set(fixed.pixel_NF.flatten().tolist()).isdisjoint(others.pixel_NF.flatten().tolist())
    with pytest.raises(ValueError, match="at least 18"):
        split(Sample(torch.zeros(17, 1)), 256, seed=0)
