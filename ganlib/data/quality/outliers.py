"""Images far from all others. N images, F features, J neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEIGHBOURS = 20  # so many that are odd in the same way are odd still
COMPONENTS = 64
RATE = 0.05
BLOCK = 512


def components(feature_NF: Tensor, count: int = COMPONENTS) -> Tensor:
    """The features along their `count` directions of largest variance -> (N, count or fewer)."""
    centred_NF = feature_NF - feature_NF.mean(0)
    if len(feature_NF) < feature_NF.shape[1]:  # the same from the smaller matrix
        value_N, vector_NN = torch.linalg.eigh((centred_NF @ centred_NF.mT).double())
        along_NN: Tensor = vector_NN * value_N.clamp(min=0).sqrt()
        return along_NN.flip(1)[:, :count].to(feature_NF.dtype)
    _, vector_FF = torch.linalg.eigh((centred_NF.mT @ centred_NF).double())
    turned_NF: Tensor = centred_NF @ vector_FF.flip(1)[:, :count].to(feature_NF.dtype)
    return turned_NF


def distances(feature_NF: Tensor, neighbours: int | None = None) -> Tensor:
    """Of each image to its `neighbours`-th nearest other one -> (N,); memory for a block of rows.

    None: the 20th, in sets below 400 a twentieth of them. Zeros where there are too few.
    """
    if neighbours is None:
        neighbours = max(1, min(NEIGHBOURS, len(feature_NF) // 20))
    if len(feature_NF) <= neighbours:
        return torch.zeros(len(feature_NF))
    norm_N = feature_NF.square().sum(1)
    out_N = torch.empty(len(feature_NF))
    for start in range(0, len(feature_NF), BLOCK):
        block_BF = feature_NF[start : start + BLOCK]
        square_BN = block_BF.square().sum(1)[:, None] + norm_N - 2 * (block_BF @ feature_NF.mT)
        row_B = torch.arange(len(block_BF))
        square_BN[row_B, start + row_B] = float("inf")
        near_BJ = square_BN.topk(neighbours, dim=1, largest=False).values
        out_N[start : start + BLOCK] = near_BJ[:, -1].clamp(min=0).sqrt()
    return out_N


def surprising(distance_N: Tensor, *, rate: float = RATE) -> tuple[Tensor, Tensor]:
    """Rows too far away to be ordinary, farthest first, and their standard scores.

    The logarithms are taken for normal around their median, with the distance to the 84th
    percentile for a deviation, which up to a sixth of outliers does not move. Benjamini and
    Hochberg 1995: of those reported at most the share `rate` is expected to be ordinary.
    """
    count = len(distance_N)
    log_N = distance_N.double().clamp(min=1e-12).log()
    if count < 10 or not bool((distance_N > 0).any()):
        return torch.empty(0, dtype=torch.int64), torch.empty(0)
    middle, upper = _quantile(log_N, 0.5), _quantile(log_N, 0.8413)
    score_N = (log_N - middle) / (upper - middle).clamp(min=1e-6)
    p_N = 0.5 * torch.erfc(score_N / math.sqrt(2))
    order = p_N.argsort(stable=True)
    passed = p_N[order] <= rate * torch.arange(1, count + 1) / count
    last = int(passed.nonzero()[-1, 0]) + 1 if bool(passed.any()) else 0
    found = order[:last]
    return found, score_N[found]


def _quantile(value_N: Tensor, share: float) -> Tensor:
    """torch's own refuses more than sixteen million."""
    return value_N.sort().values[round(share * (len(value_N) - 1))]
