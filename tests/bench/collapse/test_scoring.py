"""Scores against values by hand, against other ways to find them, and of a perfect sampler."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import truncnorm

from ganlib.bench.collapse.gaussians import mixture
from ganlib.bench.collapse.scoring import floor, score, uncut
from ganlib.determinism import stream


def test_the_mixtures_are_the_papers() -> None:
    ring, grid, hundred = (mixture(name) for name in ("ring", "grid", "grid100"))
    assert ring.centre_MD.norm(dim=1).tolist() == pytest.approx([1] * 8)
    gaps = (ring.centre_MD - ring.centre_MD.roll(1, 0)).norm(dim=1)
    assert gaps.tolist() == pytest.approx([2 * math.sin(math.pi / 8)] * 8)
    assert sorted(map(tuple, grid.centre_MD.tolist())) == [
        (x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)
    ]
    assert len(set(map(tuple, hundred.centre_MD.tolist()))) == 100
    assert hundred.centre_MD.abs().max() == 4.5
    assert (ring.sigma, grid.sigma, hundred.sigma) == (0.01, 0.05, 0.03)
    assert (ring.judged, grid.judged, hundred.judged) == (2_500, 2_500, 20_000)
    assert (ring.least, grid.least, hundred.least) == (1, 1, 10)


@pytest.mark.parametrize("name", ["ring", "grid", "grid100"])
def test_draws_have_the_mixtures_moments(name: str) -> None:
    one = mixture(name)
    sample = one.draw(200_000, stream(0, "test"))
    assert sample.mean(0).tolist() == pytest.approx([0, 0], abs=0.03)
    assert sample.std().item() == pytest.approx(one.spread(), rel=0.01)
    nearest = torch.cdist(sample, one.centre_MD).min(1)
    assert nearest.values.square().mean().item() == pytest.approx(2 * one.sigma**2, rel=0.02)
    share = torch.bincount(nearest.indices) / len(sample)
    assert share.tolist() == pytest.approx([1 / len(one.centre_MD)] * len(share), rel=0.1)


def test_modes_quality_and_divergence_by_hand() -> None:
    ring = mixture("ring")
    first, second = ring.centre_MD[0], ring.centre_MD[1]
    edge = torch.tensor([0.0299, 0.0])
    beyond = torch.tensor([0.0, 0.0301])
    sample = torch.stack([first, first + edge, first - edge, second, second + beyond])
    found = score(sample, ring)
    assert found.counts == (3, 1, 0, 0, 0, 0, 0, 0)
    assert found.modes == 2
    assert found.quality == 4 / 5
    by_hand = 0.75 * math.log(0.75 * 8) + 0.25 * math.log(0.25 * 8)
    assert found.divergence == pytest.approx(by_hand)
    assert found.sigma_ratio is None
    assert found.sigma_ratios == (None,) * 8


def test_a_mode_of_the_grid_of_a_hundred_takes_ten_samples() -> None:
    hundred = mixture("grid100")
    sample = torch.cat([hundred.centre_MD[:1].repeat(9, 1), hundred.centre_MD[1:2].repeat(10, 1)])
    assert score(sample, hundred).modes == 1


def test_no_good_sample_has_no_divergence_and_what_is_not_finite_is_not_good() -> None:
    sample = torch.tensor([[5.0, 5.0], [math.nan, 0.0], [math.inf, 0.0]])
    found = score(sample, mixture("ring"))
    assert (found.modes, found.quality) == (0, 0)
    assert found.divergence is None


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.0, 1.3, 2.0])
def test_a_cut_at_three_sigma_is_undone(sigma: float) -> None:
    point = sigma * torch.randn(400_000, 2, generator=stream(1, "test"), dtype=torch.float64)
    kept = point[point.norm(dim=1) <= 3]
    assert uncut(float(kept.var(0).mean())) == pytest.approx(sigma, rel=0.01)


def test_undoing_a_cut_is_not_what_one_dimension_would_give() -> None:
    """A Gaussian cut by a disc keeps less than one cut by a square, which SciPy has."""
    kept = 1 - 4.5 / math.expm1(4.5)
    assert kept < truncnorm(-3, 3).var()
    assert uncut(kept) == pytest.approx(1, rel=1e-9)
    assert uncut(0.25**2) == pytest.approx(0.25, rel=1e-6)
    assert uncut(9 / 4) == math.inf


@pytest.mark.parametrize(("width", "shift"), [(0.5, 0.0), (1.0, 0.0), (0.5, 1.0)])
def test_sigma_ratios_see_modes_too_narrow_and_are_about_their_own_mean(
    width: float, shift: float
) -> None:
    ring = mixture("ring")
    draw = stream(2, "test")
    mode = torch.arange(40_000) % 8
    noise = width * torch.randn(40_000, 2, generator=draw)
    sample = ring.centre_MD[mode] + ring.sigma * (noise + torch.tensor([shift, 0.0]))
    found = score(sample, ring)
    assert found.sigma_ratio == pytest.approx(width, rel=0.02)
    assert found.sigma_ratios == pytest.approx((width,) * 8, rel=0.06)


def test_a_perfect_sampler_scores_98_9_per_cent() -> None:
    for name in ("ring", "grid"):
        one = floor(mixture(name))
        assert one.quality == pytest.approx(1 - math.exp(-4.5), abs=0.001)
        assert one.quality_spread == pytest.approx((0.989 * 0.011 / 2500) ** 0.5, rel=0.3)
        modes = len(mixture(name).centre_MD)
        assert one.divergence == pytest.approx((modes - 1) / (2 * 0.989 * 2500), rel=0.15)
        assert one.sigma_ratio == pytest.approx(1, abs=0.005)
        assert one.lowest_sigma_ratio < 1 < one.highest_sigma_ratio
