"""Exact nearest neighbours in memory for a block of rows, however many samples there are.

N samples, M queries, F features, B rows of a block, G groups of a row, J neighbours. A `part`
(rank, world) does every world-th block and leaves zeros elsewhere, so the parts' results add to the
whole one; blocks are the same for any world, and so is every number.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128  # rows whose distances stay in the processor's cache
# Squared distances below this share of the largest squared norm are rounding: they count as zero.
ROUNDING = 1e-13
_GROUP = 64
_MANY = 2048
Part = tuple[int, int]


def blocks(count: int, block: int, part: Part = (0, 1)) -> Iterator[slice]:
    """The rows of each block that is this part's."""
    rank, world = part
    for start in range(rank * block, count, world * block):
        yield slice(start, min(start + block, count))


class Distances:
    """Squared distances of blocks of rows to data_NF, which is float64 once it is here."""

    def __init__(self, data_NF: Tensor) -> None:
        self.data_NF = data_NF.double()
        norm_N = self.data_NF.square().sum(1)
        self.largest = float(norm_N.max()) if len(data_NF) else 0.0
        # |x|^2 + |y|^2 - 2 x.y as one product: a pass over the block less than adding them.
        self._wide_NW = torch.cat(
            [self.data_NF, norm_N[:, None], torch.ones_like(norm_N)[:, None]], 1
        )
        self._room = norm_N.new_empty(0, len(data_NF))

    def raw(self, query_BF: Tensor, first: int | None = None) -> tuple[Tensor, float]:
        """square_BN, until the next call, and how much of it may be rounding: that counts as zero.

        With `first` it is to so many samples only.
        """
        query_BF = query_BF.double()
        norm_B = query_BF.square().sum(1)
        if len(self._room) < len(query_BF):
            self._room = norm_B.new_empty(len(query_BF), len(self._wide_NW))
        wide_BW = torch.cat([query_BF * -2, torch.ones_like(norm_B)[:, None], norm_B[:, None]], 1)
        room_BN = self._room[: len(query_BF), :first]
        square_BN = torch.mm(wide_BW, self._wide_NW[:first].mT, out=room_BN)
        return square_BN, ROUNDING * (float(norm_B.max()) + self.largest)

    def to(self, query_BF: Tensor, first: int | None = None) -> Tensor:
        """square_BN, until the next call; rounding never makes equal samples differ."""
        square_BN, tiny = self.raw(query_BF, first)
        return F.threshold(square_BN, tiny, 0.0, inplace=True)


def kth_smallest(value_BN: Tensor, k: int) -> Tensor:
    """kth_B of each row.

    The k smallest of a long row lie in the k groups with the smallest minima, so only these are
    looked at: finding minima is several times as fast as selecting.
    """
    length = value_BN.shape[1]
    groups = length // _GROUP
    if length < _MANY or groups < 4 * k:
        return value_BN.topk(k, dim=1, largest=False, sorted=True).values[:, -1]
    whole = groups * _GROUP
    value_BXG = value_BN[:, :whole].view(len(value_BN), _GROUP, groups)
    group_BK = value_BXG.amin(1).topk(k, dim=1, largest=False, sorted=False).indices
    index_BXK = group_BK[:, None].expand(-1, _GROUP, -1)
    few_BN = torch.cat([value_BXG.gather(2, index_BXK).flatten(1), value_BN[:, whole:]], 1)
    return few_BN.topk(k, dim=1, largest=False, sorted=True).values[:, -1]


def nearest(
    query_MF: Tensor, data_NF: Tensor, count: int, *, block: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """The `count` nearest samples of each query, nearest first -> index_MJ, distance_MJ."""
    distances = Distances(data_NF)
    index_MJ = torch.empty(len(query_MF), count, dtype=torch.int64, device=query_MF.device)
    distance_MJ = distances.data_NF.new_empty(len(query_MF), count)
    for rows in blocks(len(query_MF), block):
        square_BN = distances.to(query_MF[rows])
        square_BJ, index_MJ[rows] = square_BN.topk(count, dim=1, largest=False)
        distance_MJ[rows] = square_BJ.sqrt()
    return index_MJ, distance_MJ


def nearest_squared(query_MF: Tensor, data_NF: Tensor, *, block: int = BLOCK) -> Tensor:
    """square_M float64: the squared distance of each query to its nearest sample."""
    distances = Distances(data_NF)
    square_M = distances.data_NF.new_empty(len(query_MF))
    for rows in blocks(len(query_MF), block):
        square_M[rows] = distances.to(query_MF[rows]).amin(1)
    return square_M


def pairs_within(
    feature_NF: Tensor, squared_radius: float, *, block: int = BLOCK, part: Part = (0, 1)
) -> int:
    """How many pairs of different samples are no farther apart than the radius.

    Of a `part` those whose later sample is in one of its blocks.
    """
    distances, found = Distances(feature_NF), 0
    for rows in blocks(len(feature_NF), block, part):
        near_BN = distances.to(distances.data_NF[rows], rows.stop) <= squared_radius
        found += int(near_BN.tril(rows.start - 1).sum())
    return found
