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

from ganlib.metrics.neighbours import BLOCK, Part, blocks
from ganlib.metrics.screening import Screen, squared_radii


@dataclass(frozen=True)
class Prdc:
    """Of each 1 is best, but density may exceed it, and precision praises a collapsed model."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, eq=False)
class PrdcSums:
    """Counts that add across parts of the real samples: int64.

    around_M is in how many real neighbourhoods each generated sample lies; covered_N and recalled_N
    are 1 for a real sample whose neighbourhood holds a generated one, and for one that lies in the
    neighbourhood of a generated one.
    """

    around_M: Tensor
    covered_N: Tensor
    recalled_N: Tensor

    @staticmethod
    def of(
        real_NF: Tensor,
        fake_MF: Tensor,
        real_squared_radius_N: Tensor,
        fake_squared_radius_M: Tensor,
        *,
        block: int = BLOCK,
        part: Part = (0, 1),
    ) -> PrdcSums:
        """In float64 and in memory for `block` rows of distances, whatever N and M."""
        screen = Screen(fake_MF, fake_squared_radius_M)
        around_M = fake_MF.new_zeros(len(fake_MF), dtype=torch.int64)
        covered_N, recalled_N = real_NF.new_zeros(2, len(real_NF), dtype=torch.int64)
        for rows in blocks(len(real_NF), block, part):
            reach_B = real_squared_radius_N[rows]
            near = screen.within(real_NF[rows], reach_B)
            inside_P = near.square_P <= reach_B[near.row_P] + near.tiny
            around_M += torch.bincount(near.column_P[inside_P], minlength=len(fake_MF))
            covered_N[rows.start + near.row_P[inside_P]] = 1
            beside_P = near.square_P <= fake_squared_radius_M[near.column_P] + near.tiny
            recalled_N[rows.start + near.row_P[beside_P]] = 1
        return PrdcSums(around_M, covered_N, recalled_N)

    def __add__(self, other: PrdcSums) -> PrdcSums:
        return PrdcSums(
            self.around_M + other.around_M,
            self.covered_N + other.covered_N,
            self.recalled_N + other.recalled_N,
        )

    def finish(self, k: int) -> Prdc:
        return Prdc(
            precision=float((self.around_M > 0).double().mean()),
            recall=float(self.recalled_N.double().mean()),
            density=float(self.around_M.double().mean()) / k,
            coverage=float(self.covered_N.double().mean()),
        )


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
    if real_squared_radius_N is None:
        real_squared_radius_N = squared_radii(real_NF, k, block=block)
    fake_squared_radius_M = squared_radii(fake_MF, k, block=block)
    sums = PrdcSums.of(real_NF, fake_MF, real_squared_radius_N, fake_squared_radius_M, block=block)
    return sums.finish(k)


def coverage(
    real_NF: Tensor,
    fake_MF: Tensor,
    k: int,
    *,
    block: int = BLOCK,
    real_squared_radius_N: Tensor | None = None,
) -> float:
    """That of `prdc` alone, for any number of generated samples."""
    radius_N = real_squared_radius_N
    if radius_N is None:
        radius_N = squared_radii(real_NF, k, block=block)
    return float(covered(real_NF, fake_MF, radius_N, block=block).double().mean())


def covered(
    real_NF: Tensor,
    fake_MF: Tensor,
    real_squared_radius_N: Tensor,
    *,
    block: int = BLOCK,
    part: Part = (0, 1),
) -> Tensor:
    """covered_N of `PrdcSums` alone."""
    screen = Screen(fake_MF)
    covered_N = real_NF.new_zeros(len(real_NF), dtype=torch.int64)
    for rows in blocks(len(real_NF), block, part):
        reach_B = real_squared_radius_N[rows]
        near = screen.within(real_NF[rows], reach_B)
        inside_P = near.square_P <= reach_B[near.row_P] + near.tiny
        covered_N[rows.start + near.row_P[inside_P]] = 1
    return covered_N
