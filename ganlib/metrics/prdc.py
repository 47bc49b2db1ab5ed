"""Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

N real samples, M generated ones, F features, B rows of a block. The neighbourhood of a sample is
the closed ball that reaches its k-th nearest neighbour among its own kind, itself not counted.
Closed, where Naeem's code has it open: the two differ on repeated samples only, where with closed
balls any set covers itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 1024
# Squared distances below this share of the squared norms are rounding, and count as zero.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Prdc:
    """Of each 1 is best, but density may exceed it, and precision praises a collapsed model."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(
    real_NF: Tensor,
    fake_MF: Tensor,
    k: int,
    *,
    block: int = BLOCK,
    real_squared_radius_N: Tensor | None = None,
) -> Prdc:
    """In float64 and in memory for `block` rows of distances, whatever N and M.

    precision: share of generated samples in some real neighbourhood. recall: share of real samples
    in some generated one. density: real neighbourhoods around a generated sample, over k.
    coverage: share of real neighbourhoods holding a generated sample. Compare only at N = M.
    `real_squared_radius_N` is `squared_radii(real_NF, k)`, if it was already computed.
    """
    real_NF, fake_MF = real_NF.double(), fake_MF.double()
    if real_squared_radius_N is None:
        real_squared_radius_N = squared_radii(real_NF, k, block=block)
    fake_squared_radius_M = squared_radii(fake_MF, k, block=block)

    around_M = torch.zeros(len(fake_MF), dtype=torch.int64, device=fake_MF.device)
    recalled = covered = 0
    for start in range(0, len(real_NF), block):
        square_BM = _squared_distances(real_NF[start : start + block], fake_MF)
        radius_B = real_squared_radius_N[start : start + block]
        inside_BM = square_BM <= radius_B[:, None]
        around_M += inside_BM.sum(0)
        covered += int(inside_BM.any(1).sum())
        recalled += int((square_BM <= fake_squared_radius_M).any(1).sum())
    return Prdc(
        precision=float((around_M > 0).double().mean()),
        recall=recalled / len(real_NF),
        density=float(around_M.double().mean()) / k,
        coverage=covered / len(real_NF),
    )


def squared_radii(feature_NF: Tensor, k: int, *, block: int = BLOCK) -> Tensor:
    """Squared distance of each sample to its k-th nearest other sample -> (N,) float64.

    Raises ValueError if there are not more than k samples.
    """
    if len(feature_NF) <= k:
        raise ValueError(f"{k} neighbours need more than {len(feature_NF)} samples")
    feature_NF = feature_NF.double()
    parts = []
    for start in range(0, len(feature_NF), block):
        square_BN = _squared_distances(feature_NF[start : start + block], feature_NF)
        row_B = torch.arange(len(square_BN), device=square_BN.device)
        square_BN[row_B, start + row_B] = 0
        parts.append(square_BN.topk(k + 1, dim=1, largest=False).values[:, -1])
    return torch.cat(parts)


def _squared_distances(a_BF: Tensor, b_NF: Tensor) -> Tensor:
    norm_B, norm_N = a_BF.square().sum(1), b_NF.square().sum(1)
    sum_BN = norm_B[:, None] + norm_N
    square_BN = torch.addmm(sum_BN, a_BF, b_NF.mT, alpha=-2)
    return torch.where(square_BN <= _ROUNDING * sum_BN, 0.0, square_BN)
