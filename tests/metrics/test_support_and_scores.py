"""Support, inception score, known modes, and the neighbours they rest on."""

from __future__ import annotations

import math

import pytest
import torch

from ganlib.metrics import (
    InceptionSums,
    Modes,
    PrdcSums,
    inception_score,
    near_pairs,
    near_radius,
    nearest_squared,
    prdc,
    squared_radii,
    support,
)
from ganlib.metrics.modes import perfect_divergence
from ganlib.metrics.neighbours import kth_smallest


def cloud(count, size, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)).double()


def test_pairs_by_hand_and_the_number_they_tell():
    x = torch.tensor([[0.0], [0.0], [1.0], [1.05], [9.0]]).double()
    assert near_pairs(x, 0.01) == 2
    assert near_pairs(x, 0.0) == 1
    value, low, high = support(10, 2)
    assert value == 5
    assert low < 5 < high
    assert support(10, 0) == (math.inf, pytest.approx(10 / 3.689, rel=1e-3), math.inf)


def test_a_pool_of_three_hundred_is_told_and_no_pool_is_not():
    real = cloud(800, 6)
    radius = near_radius(real)
    near = (squared_radii(real, 1) <= radius).double().mean()
    assert near == pytest.approx(0.01, abs=0.003)
    pool, pick = cloud(300, 6, 1), torch.randint(300, (800,), generator=torch.Generator())
    value, low, high = support(800 * 799 // 2, near_pairs(pool[pick], radius))
    assert value == pytest.approx(300, rel=0.15)
    assert low < value < high
    fresh, _, _ = support(800 * 799 // 2, near_pairs(cloud(800, 6, 2), radius))
    assert fresh > 20_000


def test_real_images_that_repeat_leave_a_radius():
    real = torch.cat([cloud(800, 6), cloud(40, 6)])
    assert near_radius(real) == pytest.approx(near_radius(cloud(800, 6)), rel=0.3)
    assert near_radius(torch.zeros(9, 2).double()) == 0


@pytest.mark.parametrize("columns", [10, 2048, 5000])
@pytest.mark.parametrize("k", [1, 6])
def test_the_kth_of_long_rows_is_that_of_sorting(columns, k):
    value = torch.rand(7, columns, generator=torch.Generator().manual_seed(columns)).double()
    value[0] = 0.5
    value[1, :4] = value[1].min()
    assert torch.equal(kth_smallest(value, k), value.sort(1).values[:, k - 1])


def test_parts_of_the_neighbours_add_to_the_whole():
    real, fake = cloud(700, 5), cloud(500, 5, 1)
    radii = [squared_radii(fake, 5, part=(rank, 3)) for rank in range(3)]
    assert torch.equal(radii[0] + radii[1] + radii[2], squared_radii(fake, 5))
    given = squared_radii(real, 5), squared_radii(fake, 5)
    parts = [PrdcSums.of(real, fake, *given, part=(rank, 3)) for rank in range(3)]
    assert (parts[0] + parts[1] + parts[2]).finish(5) == prdc(real, fake, 5)
    expected = torch.cdist(real, fake).square().amin(1)
    torch.testing.assert_close(nearest_squared(real, fake), expected)


def test_the_inception_score_by_hand_and_in_parts():
    sure = 100 * torch.eye(4)[torch.arange(20) % 4]
    assert inception_score(sure) == pytest.approx(4)
    assert inception_score(sure[:1].expand(9, 4)) == pytest.approx(1)
    assert inception_score(torch.zeros(5, 4)) == pytest.approx(1)
    logits = cloud(60, 4)
    p = logits.softmax(1)
    expected = (p * (p / p.mean(0)).log()).sum(1).mean().exp()
    assert inception_score(logits) == pytest.approx(float(expected))
    parts = InceptionSums.of(logits[:13]) + InceptionSums.of(logits[13:])
    assert parts.score() == pytest.approx(float(expected))


def test_modes_of_a_judge_are_gated_by_its_confidence():
    probability = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.34, 0.33, 0.33]])
    every, sure = Modes.of_classes(probability), Modes.of_classes(probability, 0.5)
    assert every.count_M.tolist() == [2, 1, 0]
    assert sure.count_M.tolist() == [1, 1, 0]
    assert (sure.found(), every.found(2), sure.quality()) == (2, 1, pytest.approx(2 / 3))
    assert sure.divergence() == pytest.approx(math.log(3 / 2))
    assert sure.divergence(torch.tensor([0.5, 0.5, 0.0]).double()) == pytest.approx(0)
    assert math.isnan(Modes.of_classes(probability, 0.99).divergence())
    assert (sure + sure).count_M.tolist() == [2, 2, 0]


def test_modes_of_gaussians_are_those_within_three_sigmas():
    angle = 2 * math.pi * torch.arange(8) / 8
    centre = torch.stack([angle.cos(), angle.sin()], 1)
    sample = centre[:5].repeat(2000, 1) + 0.01 * cloud(10_000, 2)
    sample[0] = torch.tensor([0.0, 0.0])
    modes = Modes.of_gaussians(sample, centre, 0.01)
    assert modes.found() == 5
    assert modes.quality() == pytest.approx(1 - math.exp(-4.5), abs=0.004)
    assert modes.divergence() == pytest.approx(math.log(8 / 5), abs=0.01)


def test_a_perfect_sampler_has_a_divergence_of_half_a_mode_a_sample():
    """Of 1000 modes at 26,000 samples it is .0192."""
    mean, spread = perfect_divergence(torch.ones(1000), 26_000, seed=0, draws=5)
    assert mean == pytest.approx(0.0192, abs=0.0010)
    assert 0 < spread < 0.002
