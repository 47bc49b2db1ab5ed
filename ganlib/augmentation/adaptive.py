"""How p of adaptive discriminator augmentation follows the overfitting that is seen."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from ganlib.config import Ada, Custom, DiffAugment, DiscriminatorAugmentation


def start(config: DiscriminatorAugmentation) -> Tensor:
    """p before the first step, float32 without axes: 0 where it adapts, else 1 or what is fixed."""
    match config:
        case DiffAugment() | Custom():
            return torch.tensor(1.0)
        case Ada(fixed=None):
            return torch.tensor(0.0)
        case Ada(fixed=fixed):
            return torch.tensor(fixed)
        case _:
            assert_never(config)


def adapt(
    p: Tensor, sign_sum: Tensor, count: Tensor | int, config: DiscriminatorAugmentation
) -> Tensor:
    """p after another `count` real images whose signs of D(real) add up to `sign_sum`.

    Karras et al. 2020, section 3.1: r_t = sign_sum / count; p rises by count / images_to_full
    where r_t is above the target, falls by as much where it is below, and stays within 0 and
    the maximum. A p that does not adapt is given back.

    For the caller: p, sign_sum and count are state, saved with the weights. Add sign(D(real)) of
    the augmented real images of every discriminator step; each `every` steps call this with sums
    over all ranks, and start again at zero. Signs are whole numbers, so the sums, and with them p,
    are the same on any number of ranks. What a snapshot holds must be sums over all ranks too:
    one rank writes it, for all. Nothing here waits for the device.
    """
    match config:
        case Ada(fixed=None, target=target, images_to_full=images, maximum=maximum):
            count = torch.as_tensor(count, dtype=p.dtype, device=p.device)
            above = torch.sign(sign_sum.to(p) - target * count)  # with no division: count may be 0
            return (p + above * count / images).clamp(0, maximum)
        case DiffAugment() | Custom() | Ada():
            return p
        case _:
            assert_never(config)
