"""Differentiable augmentation. N samples, C channels, H W pixels.

Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training", appendix: colour,
translation, cutout, for every image. Images are in [-1, 1]; what comes in from outside and what is
cut out is 0, mid grey.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganlib.augmentation import colour
from ganlib.augmentation.draws import Draws
from ganlib.augmentation.geometry import gather

TRANSFORMS = ("brightness", "saturation", "contrast", "translation", "cutout")
BRIGHTNESS = 0.5  # added, at most
SATURATION = (0.0, 2.0)
CONTRAST = (0.5, 1.5)
REACH = 1 / 8  # of the side, the most an image moves
HOLE = 1 / 2  # of the side


def coloured(image_NCHW: Tensor, draws: Draws) -> Tensor:
    """Brightness, then saturation (nothing on grey), then contrast about the image's mean."""
    image_NCHW = colour.brightness(
        image_NCHW, _between(-BRIGHTNESS, BRIGHTNESS, draws, "brightness")
    )
    image_NCHW = colour.saturation(image_NCHW, _between(*SATURATION, draws, "saturation"))
    return colour.contrast_about_mean(image_NCHW, _between(*CONTRAST, draws, "contrast"))


def translated(image_NCHW: Tensor, draws: Draws) -> Tensor:
    """Each image moved by whole pixels, all distances within reach equally likely."""
    height, width = image_NCHW.shape[2:]
    row_NH1 = torch.arange(height, device=image_NCHW.device)[:, None] - _shift(draws, 1, height)
    column_N1W = torch.arange(width, device=image_NCHW.device) - _shift(draws, 0, width)
    inside_NHW = (row_NH1 == row_NH1.clamp(0, height - 1)) & (
        column_N1W == column_N1W.clamp(0, width - 1)
    )
    pixel_NHW = row_NH1.clamp(0, height - 1) * width + column_N1W.clamp(0, width - 1)
    moved_NCHW = gather(image_NCHW, pixel_NHW).view_as(image_NCHW)
    return torch.where(inside_NHW[:, None], moved_NCHW, 0)


def cut_out(image_NCHW: Tensor, draws: Draws) -> Tensor:
    """A square whose middle is anywhere in the image becomes grey."""
    height, width = image_NCHW.shape[2:]
    row_NH = _hole(draws, 1, height, image_NCHW.device)
    column_NW = _hole(draws, 0, width, image_NCHW.device)
    return torch.where((row_NH[:, :, None] & column_NW[:, None, :])[:, None], 0, image_NCHW)


def _shift(draws: Draws, axis: int, size: int) -> Tensor:
    """In pixels, (N, 1, 1)."""
    most = int(size * REACH + 0.5)
    uniform_N = draws.uniform_NT2[:, TRANSFORMS.index("translation"), axis]
    return _whole(uniform_N, 2 * most + 1)[:, None, None] - most


def _hole(draws: Draws, axis: int, size: int, device: torch.device) -> Tensor:
    """Which rows or columns are in it."""
    side = int(size * HOLE + 0.5)
    uniform_N = draws.uniform_NT2[:, TRANSFORMS.index("cutout"), axis]
    start_N1 = _whole(uniform_N, size + 1 - side % 2)[:, None] - side // 2
    place_S = torch.arange(size, device=device)
    return (place_S >= start_N1) & (place_S < start_N1 + side)


def _whole(uniform_N: Tensor, values: int) -> Tensor:
    """int64 in 0..values - 1: not even the largest float32 below 1 is rounded up to `values`."""
    return (uniform_N * values).floor().long()


def _between(low: float, high: float, draws: Draws, name: str) -> Tensor:
    return low + (high - low) * draws.uniform_NT2[:, TRANSFORMS.index(name), 0]
