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

from ganlib.metrics.neighbours import BLOCK, squared_distances, squared_radii


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
        square_BM = squared_distances(real_NF[start : start + block], fake_MF)
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


def coverage(real_NF: Tensor, fake_MF: Tensor, k: int, *, block: int = BLOCK) -> float:
    """That of `prdc` alone, for any number of generated samples."""
    return float(covered(real_NF, fake_MF, squared_radii(real_NF, k, block=block)).double().mean())


def covered(
    real_NF: Tensor, fake_MF: Tensor, real_squared_radius_N: Tensor, *, block: int = BLOCK
) -> Tensor:
    """covered_N bool: whether a generated sample lies in the neighbourhood of each real one."""
    real_NF, fake_MF = real_NF.double(), fake_MF.double()
    covered_N = torch.zeros(len(real_NF), dtype=torch.bool, device=real_NF.device)
    for start in range(0, len(real_NF), block):
        rows = slice(start, start + block)
        nearest_B = squared_distances(real_NF[rows], fake_MF).amin(1)
        covered_N[rows] = nearest_B <= real_squared_radius_N[rows]
    return covered_N
