"""No pair within a radius is missed by the fast look, however near the tie; and none is added."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from ganlib.metrics import PrdcSums, prdc, squared_radii
from ganlib.metrics.screening import Screen

COUNT = 2101  # no whole number of groups


def cloud(count, size, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=draws, dtype=torch.float64)


def apart(a, b):
    return cdist(a.double().numpy(), b.double().numpy(), "sqeuclidean")


@pytest.fixture
def sparse(monkeypatch):
    """Fails where all pairs would be looked at in float64."""
    monkeypatch.setattr(Screen, "_exact", property(lambda self: pytest.fail("it is not sparse")))


SHAPES = {
    "normal": lambda x: x,
    "far away": lambda x: x + 1000,
    "heavy tails": lambda x: x * torch.arange(1, len(x) + 1)[:, None] ** 0.5,
    "tiny": lambda x: 1e-30 * x,
    "huge": lambda x: 1e30 * x + 1e32,
    "one direction": lambda x: x * torch.tensor([1e4] + [1e-3] * (x.shape[1] - 1)).double(),
}


@pytest.mark.parametrize("size", [1, 70, 700])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_fast_look_is_off_by_no_more_than_it_says(shape, size):
    data, query = SHAPES[shape](cloud(COUNT, size)), SHAPES[shape](cloud(9, size, seed=1))
    screen = Screen(data)
    square_BXG, error_B, _ = screen._look(query)
    found, order = square_BXG.flatten(1), screen._order_N
    there = order >= 0
    assert sorted(order[there].tolist()) == list(range(COUNT))
    true = torch.from_numpy(apart(query, data))[:, order[there]] * screen._scale**2
    assert ((found[:, there] - true).abs() <= error_B[:, None]).all()
    assert found[:, ~there].isinf().all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_nearest_ties_are_told_exactly(shape):
    """Radii that reach the third nearest sample, and a billionth less or more."""
    data, query = SHAPES[shape](cloud(COUNT, 12)), SHAPES[shape](cloud(40, 12, seed=1))
    screen = Screen(data)
    true = apart(query, data)
    third = np.sort(true, 1)[:, 2]
    tiny = screen.within(query, torch.zeros(len(query)).double()).tiny
    step = np.maximum(1e-9 * third, 10 * tiny)
    for side, expected in ((-1, 2), (0, 3), (1, 3)):
        reach = torch.from_numpy(third + side * step)
        near = screen.within(query, reach)
        inside = near.square_P <= reach[near.row_P] + near.tiny
        assert torch.bincount(near.row_P[inside]).tolist() == [expected] * len(query)
        for row, column in zip(near.row_P[inside], near.column_P[inside], strict=True):
            assert true[row, column] <= third[row] * (1 + 1e-12)


@pytest.mark.parametrize("of", [torch.float32, torch.float64])
def test_all_counts_are_those_of_every_distance(sparse, of):
    real, fake = cloud(COUNT, 20).to(of), (1.1 * cloud(COUNT - 50, 20, seed=1)).to(of)
    own, other = squared_radii(real, 5), squared_radii(fake, 5)
    for side, radii in ((real, own), (fake, other)):
        expected = np.sort(apart(side, side), 1)[:, 5]
        np.testing.assert_allclose(radii.numpy(), expected, rtol=1e-12)
    sums = PrdcSums.of(real, fake, own, other)
    cross = torch.from_numpy(apart(real, fake))
    inside, beside = cross <= own[:, None], cross <= other
    assert sums.around_M.tolist() == inside.sum(0).tolist()
    assert sums.covered_N.tolist() == inside.any(1).tolist()
    assert sums.recalled_N.tolist() == beside.any(1).tolist()
    assert 0 < int(sums.covered_N.sum()) < COUNT


def test_a_set_before_itself_ties_everywhere(sparse):
    same = cloud(COUNT, 30)
    found = prdc(same, same.clone(), 5)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(6 / 5, abs=1e-3)


def test_what_is_not_sparse_is_looked_at_whole():
    """A collapsed generator, and one whose neighbourhoods hold everything."""
    real = cloud(COUNT, 8)
    one = real[:1].expand(COUNT, 8)
    assert squared_radii(one, 5).max() == 0
    found = prdc(real, one, 5)
    assert found.precision == 1
    assert found.recall == pytest.approx(1 / COUNT)
    noise = prdc(real, 50 * cloud(COUNT, 8, seed=1), 5)
    assert noise.recall > 0.99
    assert noise.coverage == 0


def test_features_that_do_not_vary_and_queries_beyond_them():
    still = torch.ones(30, 4)
    assert squared_radii(still, 3).tolist() == [0] * 30
    far = torch.full((2, 4), 1e25, dtype=torch.float64)
    near = Screen(cloud(COUNT, 4)).within(far, torch.tensor([1e20, math.inf]).double())
    assert set(near.row_P.tolist()) == {1}
    assert len(near.row_P) == COUNT


def test_where_products_may_be_coarser_nothing_is_screened():
    real, fake = cloud(COUNT, 20), cloud(COUNT, 20, seed=1)
    expected = prdc(real, fake, 5)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert Screen(real)._look(fake[:3]) is None
        assert prdc(real, fake, 5) == expected
    finally:
        torch.set_float32_matmul_precision(before)
