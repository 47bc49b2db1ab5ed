"""Pictures that are there twice though no byte agrees: recompressed, rescaled, brighter, mirrored.

What preparation finds are copies a hash agrees on; this looks harder. Each image's lowest
frequencies, without the mean and at unit length, are compared with everybody's in blocks (a mirror
image's are the same with every odd column's sign turned), and the `NEAREST` are looked at pixel by
pixel: a copy correlates in its detail, too, which lies above those frequencies. Where whole
neighbourhoods resemble each other, as the ones of MNIST do, a copy must stand out from them: its
detail must leave at most `OUTSTANDING` of what the images' `CROWD`-th neighbours leave unexplained.
Neighbours that look like copies themselves are no crowd: of a picture that is there many times the
first that does not is taken, and more than `NEAREST` are looked at until there is one.

N images, P pairs, J neighbours, S side in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as nn
from torch import Tensor

from ganlib.data.duplicates import components
from ganlib.data.quality.views import View

SIDE = 32
LOW = 8
NEAREST, CROWD = 12, 8
ALIKE, WHOLE, DETAIL = 0.88, 0.93, 0.88
OUTSTANDING = 0.15
FLAT = 1.0  # grey levels of deviation below which there is nothing to compare
BLOCK = 512


@dataclass(frozen=True)
class Copies:
    """Pairs (P, 2), lower row first: the correlation of their detail, and who is mirrored."""

    pair_P2: Tensor
    score_P: Tensor
    mirrored_P: Tensor


@dataclass(frozen=True)
class _Looks:
    """low_ND at unit length, and whole_NX; zeros for flat images."""

    low_ND: Tensor
    whole_NX: Tensor
    side: int


def find(view: View, row_N: Tensor) -> Copies:
    """Among the rows `row_N` of `view`, of which exact copies have been left out.

    Memory is some 5 KB an image; time grows with the square of their number, at a fraction of a
    microsecond a pair.
    """
    looks = _look(view, row_N)
    found = [_pairs(looks, mirrored) for mirrored in (False, True)]
    pair_P2 = torch.cat([pairs for pairs, _, _ in found])
    score_P = torch.cat([score for _, score, _ in found])
    mirrored_P = torch.cat([flag for _, _, flag in found])
    order = score_P.argsort(descending=True, stable=True)
    pair_P2, score_P, mirrored_P = pair_P2[order], score_P[order], mirrored_P[order]
    key_P = pair_P2[:, 0] * len(row_N) + pair_P2[:, 1]
    first: dict[int, int] = {}
    for place, key in enumerate(key_P.tolist()):
        first.setdefault(key, place)
    keep = torch.tensor(sorted(first.values()), dtype=torch.int64)
    return Copies(row_N[pair_P2[keep]].sort(1).values, score_P[keep], mirrored_P[keep])


def _look(view: View, row_N: Tensor) -> _Looks:
    side = min(SIDE, view.size)
    basis_LS = _cosines(side, min(LOW, side))
    low_ND = torch.empty(len(row_N), basis_LS.shape[0] ** 2 - 1)
    whole_NX = torch.empty(len(row_N), side * side, dtype=torch.float16)
    for start in range(0, len(row_N), BLOCK):
        grey_BSS = view.grey(row_N[start : start + BLOCK], side)
        grey_BSS = grey_BSS - grey_BSS.mean((1, 2), keepdim=True)
        low_BD = (basis_LS @ grey_BSS @ basis_LS.mT).flatten(1)[:, 1:]
        low_ND[start : start + BLOCK] = _unit(low_BD, side)
        whole_NX[start : start + BLOCK] = _unit(grey_BSS.flatten(1), side).half()
    return _Looks(low_ND, whole_NX, side)


def _unit(value_BX: Tensor, side: int) -> Tensor:
    length_B = value_BX.norm(dim=1, keepdim=True)
    return torch.where(length_B > FLAT * side, value_BX / length_B.clamp(min=1e-6), 0.0)


def _cosines(side: int, count: int) -> Tensor:
    """Rows of the orthonormal DCT-II, lowest frequency first."""
    place = torch.arange(side) + 0.5
    basis_LS = torch.cos(math.pi * torch.arange(count)[:, None] * place / side)
    basis_LS *= math.sqrt(2 / side)
    basis_LS[0] /= math.sqrt(2)
    return basis_LS


def _pairs(looks: _Looks, mirrored: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of places, their score and whether they are mirrored."""
    count = len(looks.low_ND)
    nearest = min(NEAREST, count - 1)
    empty = torch.empty(0, 2, dtype=torch.int64), torch.empty(0), torch.empty(0, dtype=torch.bool)
    if nearest < 1:
        return empty
    query_ND = looks.low_ND * _odd(looks.low_ND.shape[1]) if mirrored else looks.low_ND
    parts = []
    for start in range(0, count, BLOCK):
        like_BN = query_ND[start : start + BLOCK] @ looks.low_ND.mT
        row_B = torch.arange(len(like_BN))
        like_BN[row_B, start + row_B] = -1
        left_B, wide = (like_BN.amax(1) >= ALIKE).nonzero()[:, 0], nearest
        while len(left_B):
            # As many rows at a time as keep memory what it is for a block of `nearest`.
            several = torch.split(left_B, max(1, BLOCK * nearest // wide))
            crowded = []
            for row_A in several:
                like_AJ, other_AJ = like_BN[row_A].topk(wide, dim=1)
                near = _verified(looks, start + row_A, other_AJ, like_AJ, mirrored)
                done_A = near.plain_A | (wide == count - 1)
                crowded.append(row_A[~done_A])
                parts.append(near.pairs(done_A))
            left_B, wide = torch.cat(crowded), min(4 * wide, count - 1)
    if not parts:
        return empty
    pair_P2 = torch.cat([part[0] for part in parts]).sort(1).values
    score_P = torch.cat([part[1] for part in parts])
    return pair_P2, score_P, torch.full((len(pair_P2),), mirrored)


def _odd(width: int) -> Tensor:
    """-1 for the frequencies that a mirror turns, in the order of a descriptor."""
    side = math.isqrt(width + 1)
    return 1.0 - 2.0 * (torch.arange(1, side * side) % side % 2)


@dataclass(frozen=True)
class _Near:
    """Of A rows and J neighbours of each: which are copies, and whether some look like none."""

    row_A: Tensor
    other_AJ: Tensor
    detail_AJ: Tensor
    copy_AJ: Tensor
    plain_A: Tensor

    def pairs(self, done_A: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the rows that are done, and their score."""
        a, j = (self.copy_AJ & done_A[:, None]).nonzero(as_tuple=True)
        return torch.stack([self.row_A[a], self.other_AJ[a, j]], 1), self.detail_AJ[a, j]


def _verified(
    looks: _Looks, row_A: Tensor, other_AJ: Tensor, like_AJ: Tensor, mirrored: bool
) -> _Near:
    side = looks.side
    mine_AX = looks.whole_NX[row_A].float()
    if mirrored:
        mine_AX = mine_AX.reshape(-1, side, side).flip(2).flatten(1)
    theirs_AJX = looks.whole_NX[other_AJ].float()
    whole_AJ = torch.einsum("ax,ajx->aj", mine_AX, theirs_AJX)
    detail_AJ = torch.einsum("ax,ajx->aj", _detail(mine_AX, side), _detail(theirs_AJX, side))
    detail_AJ = torch.where(like_AJ > 0, detail_AJ, 0.0)
    copy_AJ = (like_AJ >= ALIKE) & (whole_AJ >= WHOLE) & (detail_AJ >= DETAIL)
    plain_A = ~copy_AJ.all(1)
    copy_AJ &= 1 - detail_AJ <= OUTSTANDING * (1 - _crowd(detail_AJ, copy_AJ))[:, None]
    return _Near(row_A, other_AJ, detail_AJ, copy_AJ, plain_A)


def _crowd(detail_AJ: Tensor, like_copy_AJ: Tensor) -> Tensor:
    """crowd_A: the detail of the `CROWD`-th neighbour, or of the first after it that is no copy.

    0 where there are fewer, or none is.
    """
    neighbours = detail_AJ.shape[1]
    place_A = like_copy_AJ.sum(1).clamp(min=CROWD - 1)
    # The copies first, then the others, each by its detail.
    order_AJ = (detail_AJ + 3 * like_copy_AJ).sort(1, descending=True).values
    found_A = order_AJ.gather(1, place_A.clamp(max=neighbours - 1)[:, None])[:, 0]
    return torch.where(place_A < neighbours, found_A, 0.0).clamp(min=0)


def _detail(whole_X: Tensor, side: int) -> Tensor:
    """(..., S * S): what is left above the lowest frequencies, at unit length."""
    low = min(LOW, side // 2)
    basis_LS = _cosines(side, low)
    image_SS = whole_X.reshape(*whole_X.shape[:-1], side, side)
    low_SS = basis_LS.mT @ (basis_LS @ image_SS @ basis_LS.mT) @ basis_LS
    return nn.normalize((image_SS - low_SS).flatten(-2), dim=-1, eps=1e-6)


def groups(pair_P2: Tensor) -> list[list[int]]:
    """Rows joined by pairs, each group sorted, in the order of their first rows."""
    return [group.tolist() for group in components(pair_P2.numpy())]
