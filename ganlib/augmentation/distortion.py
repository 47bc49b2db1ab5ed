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


def distort(image_NCHW: Tensor, offset_N2: Tensor, flip_N: Tensor, fill: float = -1.0) -> Tensor:
    """Flip left to right where `flip_N`, then move down and right by `offset_N2` pixels.

    What comes in from outside is `fill`: black, for images in [-1, 1].
    """
    height, width = image_NCHW.shape[2:]
    edge = max(int(offset_N2.abs().max()), 0) if len(offset_N2) else 0
    if not edge and not bool(flip_N.any()):  # asked of the CPU, where the draws are made
        return image_NCHW
    offset_N2, flip_N = offset_N2.to(image_NCHW.device), flip_N.to(image_NCHW.device)
    row_NH = torch.arange(height, device=image_NCHW.device) - offset_N2[:, :1]
    column_NW = torch.arange(width, device=image_NCHW.device) - offset_N2[:, 1:]
    column_NW = torch.where(flip_N[:, None], width - 1 - column_NW, column_NW)
    padded_NHWC = F.pad(image_NCHW, [edge] * 4, value=fill).permute(0, 2, 3, 1)
    sample_N = torch.arange(len(image_NCHW), device=image_NCHW.device)
    picked_NHWC = padded_NHWC[
        sample_N[:, None, None], (row_NH + edge)[:, :, None], (column_NW + edge)[:, None, :]
    ]
    return picked_NHWC.permute(0, 3, 1, 2)
