"""Has a generator learnt by heart? Its distance to the training images tells, beside held-out ones.

N generated samples, M training images, H held-out ones, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.evaluation.table import Row
from ganlib.metrics import nearest_squared, of_jackknife, quantile_apart

# Queries beyond these tell little more, and each looks at every training image.
MOST = 2000
# The share of real images that come as near to a training image as what is called a copy.
COPY = 0.01
# Parts of all images, each of which is left out once.
PARTS = 10


@dataclass(frozen=True, eq=False)
class Memorisation:
    """`nearer` is the share of samples nearer to training images than to equally many held-out
    ones: one half if they are drawn from the truth, more if they follow what was trained on.
    `copied` is the share that is as near to some training image as one in a hundred real images
    is. distance_N is how far each sample is from the nearest training image. Both are also there
    without each tenth of the samples and of the real images, for the jackknife.
    """

    nearer: float
    copied: float
    distance_N: Tensor
    nearer_without: tuple[float, ...] = ()
    copied_without: tuple[float, ...] = ()


@dataclass(frozen=True)
class CopyDistance:
    """One real image in a hundred comes nearer to a training image than this, which it is not;
    and what it is without each tenth of the real images.
    """

    distance: float
    without: tuple[float, ...]


def memorisation(
    query_NF: Tensor, train_MF: Tensor, held_HF: Tensor, copy: CopyDistance
) -> Memorisation:
    """The training images are taken in parts as large as the held-out set, and the parts' shares
    are averaged; where there are fewer of them, as many held-out ones are looked at.
    """
    size, count = min(len(train_MF), len(held_HF)), min(PARTS, len(train_MF), len(held_HF))
    tenth_N = _tenths(len(query_NF), count).to(query_NF.device)
    to_held_TN = _nearest_of_tenths(query_NF, held_HF[:size], count)
    least_N = query_NF.new_full((len(query_NF),), torch.inf, dtype=torch.float64)
    nearer_N, nearer_TN, parts = torch.zeros_like(least_N), torch.zeros_like(to_held_TN), 0
    for part_HF in torch.split(train_MF, size):
        if len(part_HF) < size:
            least_N = torch.minimum(least_N, nearest_squared(query_NF, part_HF))
            continue
        to_part_TN = _nearest_of_tenths(query_NF, part_HF, count)
        least_N = torch.minimum(least_N, to_part_TN.amin(0))
        nearer_N += _nearer(to_part_TN.amin(0), to_held_TN.amin(0))
        nearer_TN += _nearer(_without_each(to_part_TN), _without_each(to_held_TN))
        parts += 1
    distance_N = least_N.sqrt()
    kept_TN = torch.arange(count, device=tenth_N.device)[:, None] != tenth_N
    return Memorisation(
        nearer=float(nearer_N.mean()) / parts,
        copied=float((distance_N <= copy.distance).double().mean()),
        distance_N=distance_N,
        nearer_without=tuple(
            float(near_N[kept_N].mean()) / parts
            for near_N, kept_N in zip(nearer_TN, kept_TN, strict=True)
        )
        if count > 1
        else (),
        copied_without=tuple(
            float((distance_N[tenth_N != tenth] <= far).double().mean())
            for tenth, far in enumerate(copy.without)
        ),
    )


def copy_distance(real_HF: Tensor, train_MF: Tensor) -> CopyDistance:
    """Held-out images that were trained on too are left out: they would make it zero."""
    near_H = nearest_squared(real_HF, train_MF).sqrt()
    count = min(PARTS, len(near_H))
    tenth_H = _tenths(len(near_H), count).to(near_H.device)
    without = [quantile_apart(near_H[tenth_H != tenth], COPY) for tenth in range(count)]
    return CopyDistance(quantile_apart(near_H, COPY), tuple(without) if count > 1 else ())


def memorisation_rows(
    found: Memorisation, floor: Memorisation | None, extractor: str
) -> tuple[Row, Row]:
    """memorisation and copied_share; the floor is of real images that nobody was trained on.

    Their intervals are the jackknife's: samples, held-out and training images of which a tenth is
    left out at a time, since what is nearest depends on all of them.
    """
    count = len(found.distance_N)

    def row(metric: str, value: float, without: tuple[float, ...], real: float | None) -> Row:
        return Row.of(
            metric,
            value,
            of_jackknife(value, without, 0.0, 1.0, cases=count),
            floor=torch.nan if real is None else real,
            count=count,
            extractor=extractor,
            over="samples and real images",
        )

    return (
        row("memorisation", found.nearer, found.nearer_without, floor.nearer if floor else None),
        row("copied_share", found.copied, found.copied_without, floor.copied if floor else None),
    )


def _tenths(count: int, parts: int) -> Tensor:
    """tenth_N: in turns, so that each has as many of whatever the order is by."""
    return torch.arange(count) % parts


def _nearest_of_tenths(query_NF: Tensor, data_HF: Tensor, parts: int) -> Tensor:
    """square_TN to the nearest image of each tenth."""
    return torch.stack([nearest_squared(query_NF, data_HF[turn::parts]) for turn in range(parts)])


def _without_each(square_TN: Tensor) -> Tensor:
    """square_TN to the nearest image of all other tenths."""
    least_2N, which_2N = square_TN.topk(min(2, len(square_TN)), dim=0, largest=False)
    own_TN = torch.arange(len(square_TN), device=square_TN.device)[:, None] == which_2N[0]
    return torch.where(own_TN, least_2N[-1], least_2N[0])


def _nearer(to_train: Tensor, to_held: Tensor) -> Tensor:
    """1 where the training image is nearer, one half for a tie."""
    return (to_train < to_held).double() + 0.5 * (to_train == to_held).double()


def some(total: int, most: int = MOST) -> Tensor:
    """row_B: at most so many, evenly over all."""
    return torch.arange(min(total, most)) * total // min(total, most)
