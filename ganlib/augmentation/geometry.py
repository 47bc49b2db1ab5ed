"""Images seen through an affine map. N samples, C channels, H W pixels.

A map is matrix_N33 on (x, y, 1), in pixels from the middle of the image, x to the right and y
down; it says from where in the image each pixel of the result is taken. So a transform is given by
its inverse, and what happens first stands leftmost in a product.

Matrices are multiplied element by element: the products of a GPU may round to ten bits (TF32), a
tenth of a pixel and more.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor


def chain(*matrix_N33: Tensor) -> Tensor:
    """The product, from left to right."""
    return reduce(lambda a, b: (a[..., :, :, None] * b[..., None, :, :]).sum(-2), matrix_N33)


def scaling(x_N: Tensor, y_N: Tensor) -> Tensor:
    """matrix_N33 of an image made larger by `x_N` and `y_N`; -1 mirrors it."""
    zero_N, one_N = torch.zeros_like(x_N), torch.ones_like(x_N)
    return _matrix((1 / x_N, zero_N, zero_N), (zero_N, 1 / y_N, zero_N), (zero_N, zero_N, one_N))


def rotation(cosine_N: Tensor, sine_N: Tensor) -> Tensor:
    """matrix_N33 of an image turned anticlockwise, as seen on a page, by that angle."""
    zero_N, one_N = torch.zeros_like(cosine_N), torch.ones_like(cosine_N)
    return _matrix((cosine_N, -sine_N, zero_N), (sine_N, cosine_N, zero_N), (zero_N, zero_N, one_N))


def translation(x_N: Tensor, y_N: Tensor) -> Tensor:
    """matrix_N33 of an image moved right by `x_N` and down by `y_N` pixels."""
    zero_N, one_N = torch.zeros_like(x_N), torch.ones_like(x_N)
    return _matrix((one_N, zero_N, -x_N), (zero_N, one_N, -y_N), (zero_N, zero_N, one_N))


def shearing(slope_N: Tensor) -> Tensor:
    """matrix_N33 of an image whose rows each stand `slope_N` pixels right of the one above."""
    zero_N, one_N = torch.zeros_like(slope_N), torch.ones_like(slope_N)
    return _matrix((one_N, -slope_N, zero_N), (zero_N, one_N, zero_N), (zero_N, zero_N, one_N))


def resample(image_NCHW: Tensor, matrix_N33: Tensor) -> Tensor:
    """Bilinear; outside, the image is mirrored at the middle of its edge pixels, on and on.

    Mirrors, quarter turns (of squares) and whole pixels come out exactly, where the rounded
    coordinates of `F.grid_sample` blend in a neighbour; and the backward pass is deterministic on
    CUDA where torch is told to be, which there is refused.
    """
    height, width = image_NCHW.shape[2:]
    x_NHW, y_NHW = _sources(matrix_N33, height, width)
    left_NHW, top_NHW = x_NHW.floor(), y_NHW.floor()
    right_N1P = (x_NHW - left_NHW).flatten(1)[:, None]
    down_N1P = (y_NHW - top_NHW).flatten(1)[:, None]
    column, next_column = (_mirrored(left_NHW + step, width) for step in (0, 1))
    rows = (_mirrored(top_NHW + step, height) * width for step in (0, 1))
    upper_NCP, lower_NCP = (
        torch.lerp(
            gather(image_NCHW, row + column), gather(image_NCHW, row + next_column), right_N1P
        )
        for row in rows
    )
    return torch.lerp(upper_NCP, lower_NCP, down_N1P).view_as(image_NCHW)


def _sources(matrix_N33: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """x_NHW and y_NHW from where each pixel is taken, counted from the upper left one."""
    x_1W = torch.arange(width, device=matrix_N33.device) - (width - 1) / 2
    y_H1 = torch.arange(height, device=matrix_N33.device)[:, None] - (height - 1) / 2
    x_N3, y_N3 = matrix_N33[:, 0, :, None, None], matrix_N33[:, 1, :, None, None]
    return (
        x_N3[:, 0] * x_1W + x_N3[:, 1] * y_H1 + x_N3[:, 2] + (width - 1) / 2,
        y_N3[:, 0] * x_1W + y_N3[:, 1] * y_H1 + y_N3[:, 2] + (height - 1) / 2,
    )


def gather(image_NCHW: Tensor, pixel_NHW: Tensor) -> Tensor:
    """The pixels at these places, counted row by row, as image_NCP, P = HW."""
    flat_NCP = image_NCHW.flatten(2)
    pixel_N1P = pixel_NHW.long().flatten(1)[:, None]
    return flat_NCP.gather(2, pixel_N1P.expand(-1, flat_NCP.shape[1], -1))


def _mirrored(place: Tensor, size: int) -> Tensor:
    """Whole numbers in a floating type, which divides many times faster."""
    period = max(2 * (size - 1), 1)
    return (place - period * (place / period).round()).abs()


def _matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)
