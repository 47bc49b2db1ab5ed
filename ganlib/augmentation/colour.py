"""Colours of images in [-1, 1], where 0 is mid grey. N samples, C channels, H W pixels.

A neutral number leaves the image exactly as it was.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor


def brightness(image_NCHW: Tensor, add_N: Tensor) -> Tensor:
    """Lighter by `add_N`; 0 is neutral."""
    return image_NCHW + _per_sample(add_N)


def contrast(image_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """Away from mid grey by `factor_N`; 1 is neutral."""
    return image_NCHW * _per_sample(factor_N)


def contrast_about_mean(image_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """Away from the image's own mean by `factor_N`; 1 is neutral."""
    mean_N111 = image_NCHW.mean((1, 2, 3), keepdim=True)
    return image_NCHW + _per_sample(factor_N - 1) * (image_NCHW - mean_N111)


def saturation(image_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """Away from each pixel's mean over channels by `factor_N`; 1 is neutral, as is one channel."""
    mean_N1HW = image_NCHW.mean(1, keepdim=True)
    return image_NCHW + _per_sample(factor_N - 1) * (image_NCHW - mean_N1HW)


def luma_hue_saturation(
    image_N3HW: Tensor, luma_N: Tensor, angle_N: Tensor, factor_N: Tensor
) -> Tensor:
    """Along the grey axis times `luma_N`; around it by `angle_N` radians; away from it by a factor.

    The three act on the grey axis or at right angles to it, so they commute and one expression
    does them all: for v = (1, 1, 1) / sqrt(3), grey part g and the rest q of a pixel,
    luma g + factor (cos(angle) q + sin(angle) v x q). Neutral are 1, 0 and 1.
    """
    grey_N1HW = image_N3HW.mean(1, keepdim=True)
    rest_N3HW = image_N3HW - grey_N1HW
    crossed_N3HW = (rest_N3HW.roll(1, 1) - rest_N3HW.roll(-1, 1)) / sqrt(3)
    # As additions to the image, so that neutral numbers add exactly nothing.
    return (
        image_N3HW
        + _per_sample(luma_N - 1) * grey_N1HW
        + _per_sample(factor_N * torch.cos(angle_N) - 1) * rest_N3HW
        + _per_sample(factor_N * torch.sin(angle_N)) * crossed_N3HW
    )


def _per_sample(number_N: Tensor) -> Tensor:
    return number_N[:, None, None, None]
