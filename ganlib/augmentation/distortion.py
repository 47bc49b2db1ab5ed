"""Shifts and flips of training images. N samples, C channels, H W pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def draw_distortion(
    count: int, shift: int, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """offset_N2 int64, uniform in -shift..shift, and flip_N bool, true for half of them.

    Both are drawn whatever the settings, so that one setting does not change the other's draws.
    """
    offset_N2 = torch.randint(-shift, shift + 1, (count, 2), generator=generator)
    flip_N = torch.rand(count, generator=generator) < 0.5
    return offset_N2, flip_N & flip


def distort(
    image_NCHW: Tensor, offset_N2: Tensor, flip_N: Tensor, reach: int, fill: float = -1.0
) -> Tensor:
    """Flip left to right where `flip_N`, then move down and right by `offset_N2` pixels.

    No offset is above `reach`, and all lie on one device, which is not waited for. What comes in
    from outside is `fill`: black, for images in [-1, 1].
    """
    height, width = image_NCHW.shape[2:]
    row_NH = torch.arange(height, device=image_NCHW.device) - offset_N2[:, :1]
    column_NW = torch.arange(width, device=image_NCHW.device) - offset_N2[:, 1:]
    column_NW = torch.where(flip_N[:, None], width - 1 - column_NW, column_NW)
    padded_NHWC = F.pad(image_NCHW, [reach] * 4, value=fill).permute(0, 2, 3, 1)
    sample_N = torch.arange(len(image_NCHW), device=image_NCHW.device)
    picked_NHWC = padded_NHWC[
        sample_N[:, None, None], (row_NH + reach)[:, :, None], (column_NW + reach)[:, None, :]
    ]
    return picked_NHWC.permute(0, 3, 1, 2)
