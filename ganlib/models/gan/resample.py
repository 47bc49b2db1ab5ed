"""From one side to half of it, rounded down, and back to that side. N samples, C channels, H W."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


def halved(x_NCHW: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H // 2, W // 2): means of 2 pixels, or of 3 along an odd side.

    Three overlap by one, so that no pixel is left out.
    """
    height, width = x_NCHW.shape[-2:]
    return F.avg_pool2d(x_NCHW, (2 + height % 2, 2 + width % 2), stride=2)


def enlarged(x_NCHW: Tensor, side: int, mode: Literal["nearest", "bilinear"]) -> Tensor:
    """(N, C, H, W) -> (N, C, side, side), for a `side` of 2H or one more."""
    return F.interpolate(x_NCHW, size=(side, side), mode=mode)
