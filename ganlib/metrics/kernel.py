"""Kernel distance: the unbiased squared MMD of the cubic kernel (Binkowski et al. 2018, section 4).

N real samples, M generated ones, F features, P = F (F + 1) / 2 pairs of features. The kernel is
(x.y / F + 1)^3. Its sums over pairs come from a block of the Gram matrix at a time, or from the
moments up to the third, whose inner products they are: whichever takes fewer multiplications.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.metrics.neighbours import Part, blocks

BLOCK = 128  # rows of a tile of a Gram matrix, which stays in a core's own cache
COLUMNS = 256


@dataclass(frozen=True, eq=False)
class KernelMoments:
    """Sums over samples that add across batches and ranks, float64.

    first_F of x, second_P of products x_i x_j with i <= j, third_FP of x_h x_i x_j, and `own` of
    each sample's kernel with itself.
    """

    count: int
    first_F: Tensor
    second_P: Tensor
    third_FP: Tensor
    own: Tensor

    @staticmethod
    def of(feature_NF: Tensor) -> KernelMoments:
        size = feature_NF.shape[1]
        one_P, two_P = torch.triu_indices(size, size, device=feature_NF.device)
        wide = feature_NF.new_zeros((), dtype=torch.float64)
        first_F, second_P = wide.new_zeros(size), wide.new_zeros(len(one_P))
        third_FP, own = wide.new_zeros(size, len(one_P)), wide.clone()
        step = max(1, 2**21 // len(one_P))
        for rows in blocks(len(feature_NF), step):
            x_BF = feature_NF[rows].double()
            pair_BP = x_BF[:, one_P] * x_BF[:, two_P]
            first_F += x_BF.sum(0)
            second_P += pair_BP.sum(0)
            third_FP.addmm_(x_BF.mT, pair_BP)
            own += _cubic(x_BF.square().sum(1), size).sum()
        return KernelMoments(len(feature_NF), first_F, second_P, third_FP, own)

    def __add__(self, other: KernelMoments) -> KernelMoments:
        return KernelMoments(
            self.count + other.count,
            self.first_F + other.first_F,
            self.second_P + other.second_P,
            self.third_FP + other.third_FP,
            self.own + other.own,
        )

    def pairs(self, other: KernelMoments) -> Tensor:
        """The kernel summed over all pairs of a sample of each."""
        size = len(self.first_F)
        one_P, two_P = torch.triu_indices(size, size, device=self.first_F.device)
        twice_P = torch.where(one_P == two_P, 1.0, 2.0).double()
        first = self.first_F @ other.first_F / size
        second = (twice_P * self.second_P * other.second_P).sum() / size**2
        third = ((self.third_FP * other.third_FP).sum(0) * twice_P).sum() / size**3
        return self.count * other.count + 3 * first + 3 * second + third


@dataclass(frozen=True, eq=False)
class KernelSums:
    """The kernel over pairs: of two different real samples, of two generated, of one of each.

    Each is a row of numbers that are to be added, one for a block of rows, so that parts add to
    the same number whatever their number is.
    """

    real_R: Tensor
    fake_R: Tensor
    cross_R: Tensor

    @staticmethod
    def of(real_NF: Tensor, fake_MF: Tensor, *, part: Part = (0, 1)) -> KernelSums:
        """From blocks of the Gram matrices; a `part` leaves zeros for blocks of the others."""
        return KernelSums(
            own_sum(real_NF, part), own_sum(fake_MF, part), cross_sum(real_NF, fake_MF, part)
        )

    def __add__(self, other: KernelSums) -> KernelSums:
        return KernelSums(
            self.real_R + other.real_R, self.fake_R + other.fake_R, self.cross_R + other.cross_R
        )

    def finish(self, reals: int, fakes: int) -> float:
        """Unbiased, so that it may fall below 0; raises ValueError for fewer than two of each."""
        return _unbiased(self.real_R.sum(), self.fake_R.sum(), self.cross_R.sum(), reals, fakes)


@dataclass(frozen=True, eq=False)
class KernelSide:
    """What one side of a kernel distance is alone, whatever is held against it: its moments, or
    the kernel over its own pairs.
    """

    count: int
    told: KernelMoments | Tensor

    @staticmethod
    def of(feature_NF: Tensor, others: int) -> KernelSide:
        """By whichever is cheaper before so many `others`."""
        count, size = len(feature_NF), feature_NF.shape[1]
        by_moments = cheaper_by_moments(count, others, size)
        return KernelSide(
            count, KernelMoments.of(feature_NF) if by_moments else own_sum(feature_NF).sum()
        )

    def tensors(self) -> dict[str, Tensor]:
        """As they can be kept."""
        if isinstance(self.told, Tensor):
            return {"own": self.told}
        return {name: value for name, value in vars(self.told).items() if name != "count"} | {
            "moments": self.told.own.new_ones(())
        }

    @staticmethod
    def from_tensors(count: int, found: Mapping[str, Tensor]) -> KernelSide:
        """Of `tensors`, whose floating type may have become narrower."""
        wide = {name: value.double() for name, value in found.items()}
        if wide.pop("moments", None) is None:
            return KernelSide(count, wide["own"])
        return KernelSide(count, KernelMoments(count=count, **wide))


def kernel_distance(real_NF: Tensor, fake_MF: Tensor, real: KernelSide | None = None) -> float:
    """Over all pairs, in float64. Raises ValueError for fewer than two samples of either.

    `real` is the `KernelSide` of real_NF, if it was already computed.
    """
    reals, fakes = len(real_NF), len(fake_MF)
    real = real or KernelSide.of(real_NF, fakes)
    if isinstance(real.told, KernelMoments):
        return of_moments(real.told, KernelMoments.of(fake_MF))
    own, across = own_sum(fake_MF).sum(), cross_sum(real_NF, fake_MF).sum()
    return _unbiased(real.told, own, across, reals, fakes)


def of_moments(real: KernelMoments, fake: KernelMoments) -> float:
    """`kernel_distance` of the samples these are of."""
    return _unbiased(
        real.pairs(real) - real.own,
        fake.pairs(fake) - fake.own,
        real.pairs(fake),
        real.count,
        fake.count,
    )


def subset_distances(
    real_NF: Tensor, fake_MF: Tensor, subsets: Sequence[tuple[Tensor, Tensor]]
) -> Tensor:
    """distance_S of each pair of rows of either: as other programs report, by mean and spread."""
    real_NF, fake_MF = real_NF.double(), fake_MF.double()
    return torch.tensor(
        [kernel_distance(real_NF[real_B], fake_MF[fake_B]) for real_B, fake_B in subsets],
        dtype=torch.float64,
    )


def cheaper_by_moments(reals: int, fakes: int, size: int) -> bool:
    """Fewer multiplications than half of both own Gram matrices and the whole one across."""
    moments = (reals + fakes) * size * size * (size + 1) // 2
    grams = size * (reals * reals // 2 + fakes * fakes // 2 + reals * fakes)
    return moments < grams


def _unbiased(real: Tensor, fake: Tensor, cross: Tensor, reals: int, fakes: int) -> float:
    if min(reals, fakes) < 2:
        raise ValueError(f"a kernel distance needs two samples of each, not {reals} and {fakes}")
    within = real / (reals * (reals - 1)) + fake / (fakes * (fakes - 1))
    return float(within - 2 * cross / (reals * fakes))


def _cubic(product: Tensor, size: int) -> Tensor:
    """In place."""
    product.div_(size).add_(1)
    return product.mul_(product.square())


class _Tiles:
    """The kernel summed over tiles, in two buffers that are used again and again.

    A one beside the features makes the product of two samples the kernel's root at once.
    """

    def __init__(self, like_NF: Tensor) -> None:
        self.size = like_NF.shape[1]
        self._root, self._square = like_NF.new_empty(2, BLOCK * COLUMNS, dtype=torch.float64)

    def wide(self, x_NF: Tensor) -> Tensor:
        """float64 with the one."""
        return torch.cat([x_NF.double(), x_NF.new_ones(len(x_NF), 1, dtype=torch.float64)], 1)

    def total(self, x_BW: Tensor, y_MW: Tensor) -> Tensor:
        """Over all pairs of a row of either, both as `wide` makes them; at most BLOCK of x."""
        scaled_BW = x_BW.clone()
        scaled_BW[:, : self.size] /= self.size
        found = x_BW.new_zeros(())
        for columns in blocks(len(y_MW), COLUMNS):
            y_CW = y_MW[columns]
            room = len(x_BW) * len(y_CW)
            root_BC = self._root[:room].view(len(x_BW), len(y_CW))
            torch.mm(scaled_BW, y_CW.mT, out=root_BC)
            square = torch.mul(self._root[:room], self._root[:room], out=self._square[:room])
            found += torch.dot(square, self._root[:room])
        return found


def own_sum(x_NF: Tensor, part: Part = (0, 1)) -> Tensor:
    """sum_R over pairs of two different samples, each counted twice, by tiles of half of them."""
    tiles = _Tiles(x_NF)
    x_NW = tiles.wide(x_NF)
    sum_R = x_NW.new_zeros(-(-len(x_NF) // BLOCK))
    for rows in blocks(len(x_NF), BLOCK, part):
        x_BW = x_NW[rows]
        own = _cubic(x_BW[:, : tiles.size].square().sum(1), tiles.size).sum()
        rest = tiles.total(x_BW, x_NW[rows.stop :])
        sum_R[rows.start // BLOCK] = tiles.total(x_BW, x_BW) - own + 2 * rest
    return sum_R


def cross_sum(x_NF: Tensor, y_MF: Tensor, part: Part = (0, 1)) -> Tensor:
    """sum_R over pairs of a sample of each."""
    tiles = _Tiles(x_NF)
    y_MW = tiles.wide(y_MF)
    sum_R = y_MW.new_zeros(-(-len(x_NF) // BLOCK))
    for rows in blocks(len(x_NF), BLOCK, part):
        sum_R[rows.start // BLOCK] = tiles.total(tiles.wide(x_NF[rows]), y_MW)
    return sum_R
