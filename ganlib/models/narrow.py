"""4x4 convolutions of stride 2 on few channels, rearranged for the wide kernels of a CPU.

A CPU's convolution works on sixteen channels at a time, so an image of one or three leaves most of
it idle. Here four neighbouring pixels become channels: the same sums in another order, with a
quarter of the places and four times the channels. From 1 channel to 32 that is three times as fast
with its backward pass, from 3 not quite twice; from 32 on it costs more than it gains. A matrix
unit has its gain from a single channel alone.

N samples, C channels in, O channels out, H W pixels
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .products import in_matrix_unit

FEW = 4


def halved(x_NCHW: Tensor, weight_OCkk: Tensor, bias_O: Tensor | None) -> Tensor:
    """`conv2d(x, weight, bias, stride=2, padding=1)` of a 4x4 weight.

    Tap k = 2 b + q of the weight meets pixel q of block b. The padding behind an odd side is met by
    none.
    """
    height, width = x_NCHW.shape[-2:]
    outputs, inputs = weight_OCkk.shape[:2]
    blocks = weight_OCkk.view(outputs, inputs, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4)
    packed_NCHW = F.pixel_unshuffle(F.pad(x_NCHW, (1, 1 - width % 2, 1, 1 - height % 2)), 2)
    return F.conv2d(packed_NCHW, blocks.reshape(outputs, 4 * inputs, 2, 2), bias_O)


def doubled(
    x_NCHW: Tensor, weight_COkk: Tensor, bias_O: Tensor | None, *, odd: bool = False
) -> Tensor:
    """`conv_transpose2d(x, weight, bias, stride=2, padding=1)` of a 4x4 weight.

    Between two pixels lie two outputs, and q of them sums tap q + 2 of the first and q of the
    second; the outermost outputs belong to no image but to an `odd` one, which is one pixel larger.
    """
    inputs, outputs = weight_COkk.shape[:2]
    taps = weight_COkk.view(inputs, outputs, 2, 2, 2, 2).flip(2, 4).permute(1, 3, 5, 0, 2, 4)
    bias_4O = None if bias_O is None else bias_O.repeat_interleave(4)
    packed_NCHW = F.conv2d(x_NCHW, taps.reshape(4 * outputs, inputs, 2, 2), bias_4O, padding=1)
    end = None if odd else -1
    return F.pixel_shuffle(packed_NCHW, 2)[:, :, 1:end, 1:end]


def fits(x_NCHW: Tensor, weight_OCkk: Tensor, stride: int, padding: int) -> bool:
    """Whether `halved` does this convolution, and faster, where it runs."""
    _, inputs, height, width = weight_OCkk.shape
    shape = (height, width, stride, padding) == (4, 4, 2, 1)
    return shape and inputs <= few(x_NCHW)


def few(x_NCHW: Tensor) -> int:
    """How many channels are so few, where `x` is: only one for a matrix unit, none off a CPU."""
    if x_NCHW.device.type != "cpu":
        return 0
    return 1 if in_matrix_unit(x_NCHW) else FEW


class Doubling(nn.ConvTranspose2d):
    """A 4x4 transposed convolution of stride 2: the side doubles, and one pixel more if `odd`."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, odd: bool = False) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, int(odd), bias=bias)
        self.odd = odd

    def forward(self, x_NCHW: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, H, W) -> (N, O, 2H, 2W), or (N, O, 2H + 1, 2W + 1)."""
        if self.out_channels <= few(x_NCHW):
            return doubled(x_NCHW, self.weight, self.bias, odd=self.odd)
        out_NCHW: Tensor = super().forward(x_NCHW, output_size)
        return out_NCHW
