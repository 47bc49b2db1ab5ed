"""The real images that no generated one covers, class by class.

N real images, S sample sets, H W pixels, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganlib.evaluation.pictures import grid, said
from ganlib.evaluation.sampling import ALONE

MOST_ROWS = 16


def missed(covered_SN: Tensor, squared_radius_N: Tensor) -> Tensor:
    """row_B of those that no sample set covers, the ones in the densest places first.

    Where real images crowd, a generator that leaves them out misses most.
    """
    row_B = (~covered_SN.bool().any(0)).nonzero()[:, 0]
    return row_B[squared_radius_N[row_B].argsort(stable=True)]


def missing_picture(
    image_NHWC: Tensor,
    label_N: Tensor,
    missed_B: Tensor,
    names: Sequence[str],
    *,
    columns: int = 10,
    scale: int = 1,
) -> bytes:
    """PNG: a row of missed images for each class that misses any, with how many of how many.

    The classes that miss the largest share of theirs, if there are more than fit; without classes
    as many rows as a grid of such images has. Where none is missed it says so.
    """
    if not len(missed_B):
        return said(f"nothing is missing: all {len(label_N):,} held-out images are covered")
    if len(names) == 1:
        row_B = missed_B[: ALONE * columns]
        blank = _blank(-len(row_B) % columns, image_NHWC)
        count = f"{len(missed_B)} of {len(label_N)}"
        return grid(torch.cat([image_NHWC[row_B], blank]), columns, scale, names=[count])
    label_B = label_N[missed_B]
    gone_K = torch.bincount(label_B, minlength=len(names))
    there_K = torch.bincount(label_N, minlength=len(names))
    worst_K = (gone_K / there_K.clamp(min=1)).argsort(descending=True, stable=True)[:MOST_ROWS]
    rows, told = [], []
    for label in worst_K[gone_K[worst_K] > 0].sort().values.tolist():
        row_B = missed_B[label_B == label][:columns]
        rows += [image_NHWC[row_B], _blank(columns - len(row_B), image_NHWC)]
        told.append(f"{names[label]}: {gone_K[label]} of {there_K[label]}")
    return grid(torch.cat(rows), columns, scale, names=told)


def _blank(count: int, like_NHWC: Tensor) -> Tensor:
    return torch.full((count, *like_NHWC.shape[1:]), 255, dtype=torch.uint8)
