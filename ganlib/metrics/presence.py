"""What chance does to the number of classes that are present. K classes."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from ganlib.metrics.intervals import of_share
from ganlib.metrics.modes import least_shares


def present_by_chance(
    share_K: Tensor, true_share_K: Tensor, min_share: float, samples: int
) -> tuple[float, float]:
    """Mean and deviation of how many classes are `present` in so many draws of `share_K`.

    A class is with the chance that a binomial count reaches what is asked of it, and the number is
    taken for a sum of independent ones. Where share_K is itself of few images, the classes that
    these show too few of are not asked for: the mean is below the truth's.
    """
    least_K = least_shares(true_share_K, min_share)
    chance_K = torch.tensor(
        [
            _reached(share, math.ceil(least * samples - 1e-9), samples)
            for share, least in zip(share_K.tolist(), least_K.tolist(), strict=True)
        ],
        dtype=torch.float64,
    )
    return float(chance_K.sum()), float((chance_K * (1 - chance_K)).sum().sqrt())


def present_between(
    share_K: Tensor, true_share_K: Tensor, min_share: float, samples: int
) -> tuple[int, int]:
    """How many classes are `present` beyond doubt, and how many may be: those whose interval
    (`of_share` of all samples) reaches what is asked of them with both ends, and with one.
    """
    least_K = least_shares(true_share_K, min_share)
    low_K, high_K = torch.tensor(
        [of_share(share, samples) for share in share_K.tolist()], dtype=torch.float64
    ).T
    return int((low_K >= least_K).sum()), int((high_K >= least_K).sum())


@lru_cache(4096)
def _reached(share: float, least: int, samples: int) -> float:
    """The chance of `least` cases or more among so many, of a binomial count.

    Asked again and again: shares of few images are one of few numbers.
    """
    if least <= 0:
        return 1.0
    if least > samples or share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    count = torch.arange(least, dtype=torch.float64)
    rest = samples - count
    log_chance = (
        math.lgamma(samples + 1)
        - torch.lgamma(count + 1)
        - torch.lgamma(rest + 1)
        + count * math.log(share)
        + rest * math.log1p(-share)
    )
    return min(max(1 - float(log_chance.exp().sum()), 0.0), 1.0)
