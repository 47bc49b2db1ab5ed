"""The average of a generator's weights that is sampled from, evaluated and exported."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def half_life(limit: int, ramp: float, clock: int) -> float:
    """Images after which an old weight counts half: short at first, so that the start is forgotten.

    The ramp-up of StyleGAN2-ADA (Karras et al. 2020, its code): min(limit, ramp * clock).
    """
    return min(float(limit), ramp * clock)


def start(module: nn.Module) -> nn.Module:
    """A copy that follows `module`, never trains and is always in evaluation mode."""
    return copy.deepcopy(module).requires_grad_(False).eval()


@torch.no_grad()
def follow(average: nn.Module, module: nn.Module, images: int, half: float) -> None:
    """Move `average` towards `module` by `images` shown; buffers (running statistics) as well.

    Whole-number buffers are copied.
    """
    weight = 1.0 - 0.5 ** (images / half) if half > 0 else 1.0
    pairs = list(zip(_tensors(average), _tensors(module), strict=True))
    moving = [(ours, theirs) for ours, theirs in pairs if ours.is_floating_point()]
    torch._foreach_lerp_([ours for ours, _ in moving], [theirs for _, theirs in moving], weight)
    for ours, theirs in pairs:
        if not ours.is_floating_point():
            ours.copy_(theirs)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
