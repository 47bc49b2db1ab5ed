"""Frechet distance: against SciPy's matrix root, in closed form, and as sums that add."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlib.metrics import Moments, distance, scaled_distance


def features(count, size, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    x = torch.randn(count, size, generator=generator, dtype=torch.float64)
    return (x @ mix * scale + 3 + torch.randn(size, generator=generator)).relu()


def by_matrix_root(real, fake):
    real, fake = real.numpy(), fake.numpy()
    a, b = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(a @ b).real
    return float(((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root))


@pytest.mark.parametrize("size", [2, 8, 64])
def test_it_is_the_matrix_root_without_the_root(size):
    real, fake = features(500, size), features(400, size, seed=1)
    expected = by_matrix_root(real, fake)
    assert distance(real, fake) == pytest.approx(expected, rel=1e-7)
    assert distance(Moments.of(real), Moments.of(fake)) == pytest.approx(expected, rel=1e-7)


def test_two_gaussians_on_a_line():
    """(mu_1 - mu_2)^2 + (s_1 - s_2)^2."""
    a = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    b = 3 * a + 5
    spread = 2**0.5
    assert distance(a, b) == pytest.approx(25 + (2 * spread) ** 2)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 60), st.integers(1, 40), st.integers(0, 2**31 - 1))
def test_nothing_is_at_distance_zero_from_itself(count, size, seed):
    """Also with fewer samples than features, where covariances are singular."""
    x = features(count, size, seed)
    trace = float(x.var(0).sum())
    assert distance(x, x) <= 1e-9 * max(trace, 1)
    assert scaled_distance(x, x) <= 1e-9
    assert distance(x, x[torch.randperm(count)]) <= 1e-9 * max(trace, 1)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31 - 1), st.floats(0.01, 100))
def test_symmetric_and_free_of_scale(seed, scale):
    a, b = features(80, 5, seed), features(70, 5, seed + 1)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9)
    assert scaled_distance(a * scale, b * scale) == pytest.approx(scaled_distance(a, b), rel=1e-9)


def test_moments_add_to_those_of_all_and_lose_nothing_far_from_zero():
    x = features(300, 6)
    parts = [Moments.of(part) for part in x.split([100, 150, 50])]
    total = parts[0] + parts[1] + parts[2]
    whole = Moments.of(x)
    assert total.count == 300
    torch.testing.assert_close(total.covariance(), torch.cov(x.T))
    torch.testing.assert_close(total.mean(), x.mean(0))
    assert distance(total, whole) < 1e-6

    far = x + 1e6
    around = far[0]
    shifted = Moments.of(far[:150], around) + Moments.of(far[150:], around)
    torch.testing.assert_close(shifted.covariance(), torch.cov(x.T), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="different points"):
        shifted + whole


def test_giving_only_the_mean_costs_one():
    real = features(500, 8)
    fake = real.mean(0).expand(500, 8)
    assert scaled_distance(real, fake) == pytest.approx(1)


def test_features_that_do_not_vary():
    constant = torch.ones(10, 3)
    assert scaled_distance(constant, constant) == 0
    assert scaled_distance(constant, constant + 1) == float("inf")
