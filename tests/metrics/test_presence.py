"""What chance does to the number of classes, held against draws of it and against scipy."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom
from torch import Tensor

from ganlib.metrics import class_shares, present, present_between, present_by_chance
from ganlib.metrics.modes import least_shares

SHARE, FACTOR, SETS = 0.02, 2.0, 3


def judged(label_N: Tensor, classes: int, accuracy: float, generator: torch.Generator) -> Tensor:
    """By a judge that takes what it does not know for any of the other classes."""
    wrong_N = torch.rand(len(label_N), generator=generator) >= accuracy
    turn_N = torch.randint(1, classes, (len(label_N),), generator=generator)
    return (label_N + wrong_N * turn_N) % classes


def refused(
    classes: int, each: int, accuracy: float, *, lacking: int, trials: int = 200, seed: int = 11
) -> float:
    """How often a generator is said to have collapsed that gives the first `lacking` classes not
    at all and is perfect otherwise."""
    generator, count = torch.Generator().manual_seed(seed), 0
    label_N = torch.arange(classes).repeat(each)
    given_N = torch.where(label_N < lacking, label_N + lacking, label_N).repeat(SETS)
    true_K = class_shares(label_N, classes)
    for _ in range(trials):
        held_K = class_shares(judged(label_N, classes, accuracy, generator), classes)
        fake_K = class_shares(judged(given_N, classes, accuracy, generator), classes)
        mean, spread = present_by_chance(held_K, true_K, SHARE, len(given_N))
        count += present(fake_K, true_K, SHARE) < mean - FACTOR * spread
    return count / trials


@pytest.mark.parametrize(
    ("classes", "each", "accuracy"),
    [(2, 50, 0.9), (10, 50, 0.9), (10, 36, 0.99), (50, 20, 0.8), (100, 10, 0.7), (100, 10, 0.95)],
)
def test_a_perfect_generator_is_seldom_refused(classes, each, accuracy):
    assert refused(classes, each, accuracy, lacking=0) <= 0.05


@pytest.mark.parametrize(
    ("classes", "each", "accuracy", "lacking"),
    [
        (2, 50, 0.999, 1),
        (10, 50, 0.9, 1),
        (10, 36, 0.99, 1),
        (100, 10, 0.7, 10),
        (100, 10, 0.95, 5),
    ],
)
def test_a_generator_that_lacks_classes_is_refused(classes, each, accuracy, lacking):
    assert refused(classes, each, accuracy, lacking=lacking) >= 0.95


def test_the_chance_of_each_class_is_the_binomials():
    true_K = torch.full((4,), 0.25).double()
    share_K = torch.tensor([0.0, 0.015, 0.0225, 0.9625]).double()
    mean, spread = present_by_chance(share_K, true_K, SHARE, 1000)
    chance = binom.sf(19, 1000, share_K.numpy())
    assert mean == pytest.approx(chance.sum())
    assert spread == pytest.approx((chance * (1 - chance)).sum() ** 0.5)


def test_what_no_chance_touches_has_no_spread():
    even_K = torch.full((10,), 0.1).double()
    assert present_by_chance(even_K, even_K, SHARE, 3000) == (pytest.approx(10), 0.0)
    one_K = torch.tensor([1.0, 0.0]).double()
    assert present_by_chance(one_K, one_K, SHARE, 50) == (1, 0)
    assert present_by_chance(one_K, one_K, 0.0, 50) == (2, 0)


def test_who_is_present_beyond_doubt():
    true_K = torch.full((4,), 0.25).double()
    share_K = torch.tensor([0.95, 0.025, 0.0225, 0.0025]).double()
    assert present(share_K, true_K, SHARE) == 3
    assert present_between(share_K, true_K, SHARE, 400) == (1, 3)
    assert present_between(share_K, true_K, SHARE, 400_000) == (3, 3)
    assert least_shares(true_K, SHARE).tolist() == [SHARE] * 4
