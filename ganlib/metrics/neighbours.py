"""Exact nearest neighbours in memory for a block of rows, however many samples there are.

N samples, M queries, F features, B rows of a block, J neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128  # rows whose distances stay in the processor's cache
# Squared distances below this share of the largest squared norm are rounding: they count as zero.
_ROUNDING = 1e-13


def squared_distances(query_BF: Tensor, data_NF: Tensor) -> Tensor:
    """Both float64 -> square_BN; rounding never makes equal samples differ."""
    norm_B, norm_N = query_BF.square().sum(1), data_NF.square().sum(1)
    square_BN = torch.addmm(norm_B[:, None] + norm_N, query_BF, data_NF.mT, alpha=-2)
    tiny = _ROUNDING * float(norm_B.max() + norm_N.max())
    return F.threshold(square_BN, tiny, 0.0, inplace=True)


def squared_radii(feature_NF: Tensor, k: int, *, block: int = BLOCK) -> Tensor:
    """Squared distance of each sample to its k-th nearest other sample -> (N,) float64.

    Raises ValueError if there are not more than k samples.
    """
    if len(feature_NF) <= k:
        raise ValueError(f"{k} neighbours need more than {len(feature_NF)} samples")
    feature_NF = feature_NF.double()
    # Written in place: small results that outlive their block would keep the heap from shrinking.
    square_N = feature_NF.new_empty(len(feature_NF))
    for start in range(0, len(feature_NF), block):
        square_BN = squared_distances(feature_NF[start : start + block], feature_NF)
        row_B = torch.arange(len(square_BN), device=square_BN.device)
        square_BN[row_B, start + row_B] = 0
        nearest_BJ = square_BN.topk(k + 1, dim=1, largest=False).values
        square_N[start : start + block] = nearest_BJ[:, -1]
    return square_N


def nearest(
    query_MF: Tensor, data_NF: Tensor, count: int, *, block: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """The `count` nearest samples of each query, nearest first -> index_MJ, distance_MJ."""
    query_MF, data_NF = query_MF.double(), data_NF.double()
    index_MJ = torch.empty(len(query_MF), count, dtype=torch.int64, device=query_MF.device)
    distance_MJ = query_MF.new_empty(len(query_MF), count)
    for start in range(0, len(query_MF), block):
        rows = slice(start, start + block)
        square_BN = squared_distances(query_MF[rows], data_NF)
        square_BJ, index_MJ[rows] = square_BN.topk(count, dim=1, largest=False)
        distance_MJ[rows] = square_BJ.sqrt()
    return index_MJ, distance_MJ
