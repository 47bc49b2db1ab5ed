"""How many different images a generator has, by the birthday paradox (Arora and Zhang 2017).

N samples of a generator with n equally likely images hold N (N - 1) / 2 n pairs of one image on
average, so the number of near pairs tells n. Near is nearer than real images come to each other by
chance. Where images are not equally likely, n is the number of equally likely ones that would
repeat themselves as often: no more than there are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganlib.metrics.intervals import of_count
from ganlib.metrics.neighbours import pairs_within
from ganlib.metrics.screening import squared_radii

# The share of real samples that have a neighbour as near as a pair that counts as one image.
NEAR = 0.01


def near_radius(real_NF: Tensor) -> float:
    """The squared distance within which one real sample in a hundred has another one."""
    return quantile_apart(squared_radii(real_NF, 1), NEAR)


def quantile_apart(distance_N: Tensor, share: float) -> float:
    """The quantile of those that are not zero; 0 if there is none.

    Where real images repeat exactly it still tells how near different ones come to each other.
    """
    apart = distance_N[distance_N > 0]
    return float(torch.quantile(apart, share)) if len(apart) else 0.0


def near_pairs(feature_NF: Tensor, squared_radius: float) -> int:
    """Pairs of samples that count as one image."""
    return pairs_within(feature_NF, squared_radius)


def support(pairs: int, near: int) -> tuple[float, float, float]:
    """n and its 95 % interval from `near` of `pairs`: infinite, with a lower bound, for none."""
    low, high = of_count(near)
    return (
        pairs / near if near else math.inf,
        pairs / high,
        pairs / low if low else math.inf,
    )
