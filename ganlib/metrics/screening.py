"""Which pairs may be near is seen by products in float32; whether they are is told in float64.

N samples, M queries, F features, W = F + 2, B rows of a block, X columns in each of G groups, P
pairs, Q groups of a row. Few pairs are near, so the fast look needs only to miss none: it keeps all
that its rounding could have put on the wrong side, and each pair that is left is looked at anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ganlib.metrics.neighbours import BLOCK, ROUNDING, Distances, Part, blocks, kth_smallest

_UNIT = 2.0**-24  # float32 rounds by so much of a number at most
_GROUP = 64  # columns at most
_GROUPS = 256  # at least, that few of them hold what is near
_ROWS = 2048
# Where more than this share of a block's pairs is left, they are looked at by one product.
_SPARSE = 1 / 8
_ROOM = 2**21  # numbers of a block of differences


@dataclass(frozen=True, eq=False)
class Near:
    """Pairs of a block's row and a sample: all within the radii asked for, and a few others.

    `tiny` of a squared distance may be rounding: what exceeds a radius by less is within it, so
    that rounding never makes equal samples differ.
    """

    row_P: Tensor
    column_P: Tensor
    square_P: Tensor
    tiny: float


class Screen:
    """Samples that blocks of queries are held against.

    With x' and y' moved by the samples' mean and scaled, |x'|^2 + |y'|^2 - 2 x'.y' in float32 is
    off by no more than (2.1 W + 12) u (|x'|^2 + |y'|^2): inputs are rounded once, and a sum of W
    products by W u of the sum of their sizes in whatever order (Higham 2002, section 3.1). On
    other devices than the CPU, and where float32 products may be coarser, all is float64.
    """

    def __init__(self, data_NF: Tensor, reach_N: Tensor | None = None) -> None:
        """`reach_N` are squared radii of the samples, if `within` is to look at these as well."""
        self.data_NF, self.reach_N = data_NF, reach_N
        count, size = data_NF.shape
        self._centre_F = data_NF.mean(0).double()
        largest = 0.0
        for rows in blocks(count, _ROWS):
            moved_BF = data_NF[rows].double() - self._centre_F
            largest = max(largest, float(moved_BF.square().sum(1).max()))
        # By a power of two, which changes no digit.
        spread = 0 < largest < math.inf
        self._scale = 2.0 ** -math.ceil(math.log2(largest) / 2) if spread else 1.0
        self._fast = spread and 1e-100 < self._scale < 1e100 and _whole_products(data_NF)
        if self._fast:
            group = min(_GROUP, 2 ** (max(1, count // _GROUPS).bit_length() - 1))
            self._groups = -(-count // group)
            self._order_N = _in_groups(reach_N, count, group)
            wide_NW = torch.zeros(len(self._order_N), size + 2)
            for rows in blocks(len(wide_NW), _ROWS):
                order_B = self._order_N[rows]
                moved_BF = (data_NF[order_B].double() - self._centre_F) * self._scale
                wide_NW[rows, :size] = moved_BF
                # What fills the last group is infinitely far from everything.
                wide_NW[rows, size] = moved_BF.square().sum(1).where(order_B >= 0, math.inf)
            wide_NW[:, size + 1] = 1
            self._wide_NW = wide_NW
            self._room = wide_NW.new_empty(0, len(wide_NW))

    @cached_property
    def _exact(self) -> Distances:
        return Distances(self.data_NF)

    def within(self, query_BF: Tensor, reach_B: Tensor) -> Near:
        """Pairs no farther apart than the row's squared radius, or than the sample's."""
        looked = self._look(query_BF)
        if looked is not None:
            square_BXG, error_B, tiny = looked
            limit_B1 = ((reach_B + tiny) * self._scale**2 + error_B)[:, None]
            limit_XG = None
            if self.reach_N is not None:
                reach_N = self.reach_N[self._order_N].where(self._order_N >= 0, -math.inf)
                limit_XG = ((reach_N + tiny) * self._scale**2 + error_B.max()).view(
                    -1, self._groups
                )
            least_BG = square_BXG.amin(1)
            if (left := self._left(square_BXG, least_BG, limit_B1, limit_XG)) is not None:
                return Near(*left, self._apart(query_BF, *left), tiny)
        square_BN, tiny = self._exact.raw(query_BF)
        inside_BN = square_BN <= reach_B[:, None] + tiny
        if self.reach_N is not None:
            inside_BN |= square_BN <= self.reach_N + tiny
        row_P, column_P = inside_BN.nonzero(as_tuple=True)
        return Near(row_P, column_P, square_BN[row_P, column_P], tiny)

    def kth(self, rows: slice, k: int) -> Tensor:
        """square_B of the k-th nearest other sample to each of these samples."""
        query_BF = self.data_NF[rows]
        looked = self._look(query_BF)
        if looked is not None and self._groups > k:
            square_BXG, error_B, tiny = looked
            # The least of k + 1 groups are k + 1 distances, one perhaps to itself, that are as far
            # at least as the one looked for.
            least_BG = square_BXG.amin(1)
            least_BK = least_BG.topk(k + 1, dim=1, largest=False).values
            limit_B1 = (least_BK.amax(1) + 2 * error_B)[:, None]
            if (left := self._left(square_BXG, least_BG, limit_B1)) is not None:
                square_P = self._apart(query_BF, *left)
                return F.threshold(_kth_of_rows(len(query_BF), left[0], square_P, k + 1), tiny, 0.0)
        square_BN, tiny = self._exact.raw(query_BF)
        row_B = torch.arange(len(square_BN), device=square_BN.device)
        square_BN[row_B, rows.start + row_B] = 0
        return F.threshold(kth_smallest(square_BN, k + 1), tiny, 0.0)

    def _look(self, query_BF: Tensor) -> tuple[Tensor, Tensor, float] | None:
        """square_BXG in float32, until the next call, how far off it may be, and what is tiny."""
        if not self._fast:
            return None
        moved_BF = (query_BF.double() - self._centre_F) * self._scale
        norm_B = moved_BF.square().sum(1)
        if not float(norm_B.max()) < 2.0**60:  # far beyond the samples
            return None
        width = self._wide_NW.shape[1]
        wide_BW = torch.cat(
            [moved_BF * -2, torch.ones_like(norm_B)[:, None], norm_B[:, None]], 1
        ).float()
        if len(self._room) < len(query_BF):
            self._room = self._wide_NW.new_empty(len(query_BF), len(self._wide_NW))
        square_BN = torch.mm(wide_BW, self._wide_NW.mT, out=self._room[: len(query_BF)])
        error_B = (2.1 * width + 12) * _UNIT * (norm_B + 1) + width * 2.0**-120
        tiny = ROUNDING * float(norm_B.max() + 1) / self._scale**2
        return square_BN.view(len(query_BF), -1, self._groups), error_B, tiny

    def _left(
        self,
        square_BXG: Tensor,
        least_BG: Tensor,
        limit_B1: Tensor,
        limit_XG: Tensor | None = None,
    ) -> tuple[Tensor, Tensor] | None:
        """row_P, column_P within either limit, rows in order; none where they are too many.

        Groups none of whose distances is are not looked into.
        """
        limit_B1 = _up(limit_B1)
        limit_BG = limit_B1
        if limit_XG is not None:
            limit_XG = _up(limit_XG)
            limit_BG = torch.maximum(limit_B1, limit_XG.amax(0))
        row_Q, group_Q = (least_BG <= limit_BG).nonzero(as_tuple=True)
        if len(row_Q) * square_BXG.shape[1] > _SPARSE * square_BXG.numel():
            return None
        limit_QX = limit_B1[row_Q]
        if limit_XG is not None:
            limit_QX = torch.maximum(limit_QX, limit_XG.mT[group_Q])
        place_P, x_P = (square_BXG[row_Q, :, group_Q] <= limit_QX).nonzero(as_tuple=True)
        return row_Q[place_P], self._order_N[x_P * self._groups + group_Q[place_P]]

    def _apart(self, query_BF: Tensor, row_P: Tensor, column_P: Tensor) -> Tensor:
        """square_P: the same whichever of the two is the query."""
        square_P = query_BF.new_empty(len(row_P), dtype=torch.float64)
        for some in blocks(len(row_P), max(1, _ROOM // query_BF.shape[1])):
            far_BF = query_BF[row_P[some]].double() - self.data_NF[column_P[some]].double()
            square_P[some] = far_BF.square_().sum(1)
        return square_P


def squared_radii(feature_NF: Tensor, k: int, *, block: int = BLOCK, part: Part = (0, 1)) -> Tensor:
    """Squared distance of each sample to its k-th nearest other sample -> (N,) float64.

    Raises ValueError if there are not more than k samples.
    """
    if len(feature_NF) <= k:
        raise ValueError(f"{k} neighbours need more than {len(feature_NF)} samples")
    screen = Screen(feature_NF)
    # Written in place: small results that outlive their block would keep the heap from shrinking.
    square_N = feature_NF.new_zeros(len(feature_NF), dtype=torch.float64)
    for rows in blocks(len(feature_NF), block, part):
        square_N[rows] = screen.kth(rows, k)
    return square_N


def _in_groups(reach_N: Tensor | None, count: int, group: int) -> Tensor:
    """order_N: the sample in each column, -1 in those beyond; columns G apart are a group, and its
    samples reach about equally far.
    """
    order_N = torch.arange(count) if reach_N is None else reach_N.argsort(stable=True)
    whole_N = F.pad(order_N, (0, -count % group), value=-1)
    return whole_N.view(-1, group).mT.flatten()


def _up(limit: Tensor) -> Tensor:
    """In float32, and not below."""
    narrow = limit.float()
    return narrow.nextafter(narrow.new_full((), math.inf))


def _kth_of_rows(rows: int, row_P: Tensor, square_P: Tensor, k: int) -> Tensor:
    """The k-th smallest of each row's, which are at least k; row_P is in order."""
    count_B = torch.bincount(row_P, minlength=rows)
    place_P = torch.arange(len(row_P)) - (count_B.cumsum(0) - count_B)[row_P]
    square_BC = square_P.new_full((rows, int(count_B.max())), math.inf)
    square_BC[row_P, place_P] = square_P
    return square_BC.topk(k, dim=1, largest=False).values.amax(1)


def _whole_products(data_NF: Tensor) -> bool:
    """Whether float32 products are as exact as is said above."""
    whole = torch.get_float32_matmul_precision() == "highest"
    return whole and data_NF.device.type == "cpu" and data_NF.shape[1] < 2**16
