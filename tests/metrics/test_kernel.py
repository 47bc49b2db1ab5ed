"""Kernel distance: against the definition, by both ways of summing, and in parts that add."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import polynomial_kernel

from ganlib.metrics import KernelMoments, KernelSums, kernel_distance
from ganlib.metrics.kernel import cheaper_by_moments, subset_distances


def features(count, size, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator).relu() + shift


def by_definition(real, fake):
    """Binkowski et al. 2018, eq. 4, with scikit-learn's kernel."""
    xx, yy, xy = (
        polynomial_kernel(a.double().numpy(), b.double().numpy(), 3, 1 / a.shape[1], 1)
        for a, b in ((real, real), (fake, fake), (real, fake))
    )
    m, n = len(real), len(fake)
    within = (xx.sum() - np.trace(xx)) / (m * (m - 1)) + (yy.sum() - np.trace(yy)) / (n * (n - 1))
    return within - 2 * xy.mean()


@pytest.mark.parametrize(("reals", "fakes", "size"), [(300, 200, 4), (1500, 1100, 6), (90, 70, 40)])
def test_the_definition_by_either_sum(reals, fakes, size):
    real, fake = features(reals, size, 0), features(fakes, size, 1, 0.1)
    expected = by_definition(real, fake)
    assert kernel_distance(real, fake) == pytest.approx(expected, rel=1e-9)
    assert KernelSums.of(real, fake).finish(reals, fakes) == pytest.approx(expected, rel=1e-9)
    assert cheaper_by_moments(reals, fakes, size) == (size < 40)


def test_parts_add_to_the_same_number():
    real, fake = features(2500, 5, 0), features(2100, 5, 1)
    whole = KernelSums.of(real, fake).finish(2500, 2100)
    parts = [KernelSums.of(real, fake, part=(rank, 3)) for rank in range(3)]
    assert (parts[0] + parts[1] + parts[2]).finish(2500, 2100) == whole
    split = [KernelMoments.of(real[:700]), KernelMoments.of(real[700:])]
    total, one = split[0] + split[1], KernelMoments.of(real)
    torch.testing.assert_close(total.third_FP, one.third_FP)
    assert float(total.pairs(one) - total.own) == pytest.approx(float(one.pairs(one) - one.own))


def test_subsets_are_distances_of_their_own():
    real, fake = features(200, 5, 0), features(200, 5, 1, 0.2)
    rows = [(torch.arange(50), torch.arange(50, 100)), (torch.arange(90, 190), torch.arange(100))]
    found = subset_distances(real, fake, rows)
    for value, (a, b) in zip(found.tolist(), rows, strict=True):
        assert value == pytest.approx(by_definition(real[a], fake[b]), rel=1e-9)


def test_one_sample_has_no_pairs():
    with pytest.raises(ValueError, match="not 1 and 9"):
        kernel_distance(features(1, 3, 0), features(9, 3, 1))
