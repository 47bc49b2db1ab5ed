"""Precision, recall, density, coverage: against brute force and scikit-learn, and as properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from ganlib.metrics import Prdc, nearest, prdc, squared_radii


def cloud(count, size, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64) + shift


def by_brute_force(real, fake, k):
    """Kynkaanniemi et al. 2019, eq. 1 and 2, and Naeem et al. 2020, eq. 3 and 4, as written."""
    real, fake = real.numpy(), fake.numpy()

    def apart(a, b):
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))

    real_radius = np.sort(apart(real, real), 1)[:, k]
    fake_radius = np.sort(apart(fake, fake), 1)[:, k]
    cross = apart(real, fake)
    inside = cross <= real_radius[:, None]
    return Prdc(
        precision=inside.any(0).mean(),
        recall=(cross <= fake_radius[None]).any(1).mean(),
        density=inside.sum(0).mean() / k,
        coverage=inside.any(1).mean(),
    )


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("reals", "fakes"), [(60, 60), (130, 70), (40, 200)])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_brute_force_agrees_whatever_the_block(k, reals, fakes, shift):
    real, fake = cloud(reals, 6), cloud(fakes, 6, seed=1, shift=shift)
    expected = by_brute_force(real, fake, k)
    for block in (1, 7, 1000):
        found = prdc(real, fake, k, block=block)
        assert vars(found) == pytest.approx(vars(expected), abs=1e-12)
    radius = squared_radii(real, k)
    assert prdc(real, fake, k, real_squared_radius_N=radius) == found


def test_radii_and_neighbours_are_scikit_learns():
    real, query = cloud(500, 10), cloud(90, 10, seed=1)
    tree = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(real.numpy())
    own, _ = tree.kneighbors(real.numpy())
    np.testing.assert_allclose(squared_radii(real, 5).sqrt().numpy(), own[:, 5], rtol=1e-7)
    distance, index = tree.kneighbors(query.numpy())
    found_index, found_distance = nearest(query, real, 6)
    assert (found_index.numpy() == index).all()
    np.testing.assert_allclose(found_distance.numpy(), distance, rtol=1e-7)


@settings(deadline=None, max_examples=25)
@given(st.integers(7, 60), st.integers(1, 20), st.integers(0, 2**31 - 1), st.booleans())
def test_anything_covers_itself(count, size, seed, repeats):
    x = cloud(count, size, seed)
    if repeats:  # neighbourhoods of radius zero
        x = torch.cat([x, x[:1].expand(8, size)])
    found = prdc(x, x, 5)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density >= 1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31 - 1), st.floats(1e-3, 1e3))
def test_free_of_scale_place_and_order(seed, scale):
    real, fake = cloud(50, 4, seed), cloud(50, 4, seed + 1)
    found = prdc(real, fake, 5)
    turned = prdc(real[torch.randperm(50)] * scale + 3, fake[torch.randperm(50)] * scale + 3, 5)
    assert vars(turned) == pytest.approx(vars(found), abs=1e-9)


def test_far_apart_is_nothing_and_collapse_is_precise_but_does_not_cover():
    real = cloud(400, 5)
    assert vars(prdc(real, real + 100, 5)) == {
        "precision": 0,
        "recall": 0,
        "density": 0,
        "coverage": 0,
    }
    collapsed = real[:1] + 1e-3 * cloud(400, 5, seed=1)
    found = prdc(real, collapsed, 5)
    assert found.precision == 1
    assert found.recall < 0.01
    assert found.coverage < 0.1


def test_real_against_real_is_what_naeem_expects():
    """Their lemma 2: 1 - (N-1)...(N-k) / (2N-1)...(2N-k) is covered, for any distribution."""
    k, count = 5, 300
    covered = [
        prdc(cloud(count, 3, seed), cloud(count, 3, seed + 1000), k).coverage for seed in range(20)
    ]
    expected = 1 - np.prod([(count - i) / (2 * count - i) for i in range(1, k + 1)])
    assert np.mean(covered) == pytest.approx(expected, abs=0.006)


def test_memory_is_that_of_a_block():
    """8,000 samples: 512 MB of distances if they were held at once, a block is 8 MB."""
    import resource

    real, fake = cloud(8000, 4), cloud(8000, 4, seed=1)
    prdc(real[:300], fake[:300], 5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    prdc(real, fake, 5)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KiB


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="5 neighbours need more than 5 samples"):
        squared_radii(cloud(5, 2), 5)
