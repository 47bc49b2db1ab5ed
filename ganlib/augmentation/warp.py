"""Training images turned, scaled, squeezed and sheared. N samples, C channels, H W pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganlib.augmentation.geometry import chain, resample, rotation, scaling, shearing


def draw_warp(
    count: int,
    *,
    rotate: float,
    scale: float,
    squeeze: float,
    shear: float,
    generator: torch.Generator,
) -> Tensor:
    """matrix_N33 float64, the inverse of: scale and squeeze, then shear, then turn.

    LeCun et al. 1998, section III-B, and rotation. Each is uniform between its two extremes: the
    angle between -rotate and rotate degrees, the size (and what one side is longer by while the
    other is shorter) between 1 / (1 + share) and 1 + share on a logarithmic scale, and how far each
    row stands right of the one above between -shear and shear. All are drawn whatever the settings,
    so that one setting does not change another's draws.
    """
    turn_N, size_N, press_N, slope_N = (
        2 * torch.rand(4, count, generator=generator, dtype=torch.float64) - 1
    )
    size_N, press_N = (size_N * math.log1p(scale)).exp(), (press_N * math.log1p(squeeze)).exp()
    angle_N = turn_N * math.radians(rotate)
    return chain(
        scaling(size_N * press_N, size_N / press_N),
        shearing(slope_N * shear),
        rotation(angle_N.cos(), angle_N.sin()),
    )


def warp(image_NCHW: Tensor, matrix_N33: Tensor) -> Tensor:
    """The images through their maps, bilinear, in the memory layout they had.

    What comes in from outside is mirrored at the edge.
    """
    layout = torch.contiguous_format
    if image_NCHW.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    warped_NCHW = resample(image_NCHW, matrix_N33.to(image_NCHW))
    return warped_NCHW.contiguous(memory_format=layout)
