"""Has a generator learnt by heart? Its distance to the training images tells, beside held-out ones.

N generated samples, M training images, H held-out ones, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.evaluation.table import Row
from ganlib.metrics import nearest_squared, of_share, quantile_apart

# Queries beyond these tell little more, and each looks at every training image.
MOST = 2000
# The share of real images that come as near to a training image as what is called a copy.
COPY = 0.01


@dataclass(frozen=True, eq=False)
class Memorisation:
    """`nearer` is the share of samples nearer to training images than to equally many held-out
    ones: one half if they are drawn from the truth, more if they follow what was trained on.
    `copied` is the share that is as near to some training image as one in a hundred real images
    is. distance_N is how far each sample is from the nearest training image.
    """

    nearer: float
    copied: float
    distance_N: Tensor


def memorisation(
    query_NF: Tensor, train_MF: Tensor, held_HF: Tensor, copy_distance: float
) -> Memorisation:
    """The training images are taken in parts as large as the held-out set, and the parts' shares
    are averaged; where there are fewer of them, as many held-out ones are looked at.
    """
    size = min(len(train_MF), len(held_HF))
    to_held_N = nearest_squared(query_NF, held_HF[:size])
    least_N, nearer, parts = torch.full_like(to_held_N, torch.inf), 0.0, 0
    for part_HF in torch.split(train_MF, size):
        to_part_N = nearest_squared(query_NF, part_HF)
        least_N = torch.minimum(least_N, to_part_N)
        if len(part_HF) == size:
            ties = 0.5 * (to_part_N == to_held_N).double()
            nearer += float(((to_part_N < to_held_N).double() + ties).mean())
            parts += 1
    distance_N = least_N.sqrt()
    return Memorisation(
        nearer=nearer / parts,
        copied=float((distance_N <= copy_distance).double().mean()),
        distance_N=distance_N,
    )


def copy_distance(real_HF: Tensor, train_MF: Tensor) -> float:
    """One real image in a hundred comes nearer to a training image than this, which it is not.

    Held-out images that were trained on too are left out: they would make it zero.
    """
    return quantile_apart(nearest_squared(real_HF, train_MF).sqrt(), COPY)


def memorisation_rows(
    found: Memorisation, floor: Memorisation | None, extractor: str
) -> tuple[Row, Row]:
    """memorisation and copied_share; the floor is of real images that nobody was trained on."""
    count = len(found.distance_N)

    def row(metric: str, value: float, real: float | None) -> Row:
        return Row.of(
            metric,
            value,
            of_share(value, count),
            floor=torch.nan if real is None else real,
            count=count,
            extractor=extractor,
            over="samples",
        )

    return (
        row("memorisation", found.nearer, floor.nearer if floor else None),
        row("copied_share", found.copied, floor.copied if floor else None),
    )


def some(total: int, most: int = MOST) -> Tensor:
    """row_B: at most so many, evenly over all."""
    return torch.arange(min(total, most)) * total // min(total, most)
