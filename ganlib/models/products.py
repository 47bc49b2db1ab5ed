"""Slopes by a convolution's weight as one matrix product, where a CPU's matrix unit wants that.

A CPU with AMX multiplies bfloat16 matrices ten times as fast as float32, and convolves almost as
fast, but not on the way back to the weight of many channels at few pixels: 130 GFLOP/s on a thread
for 128 channels of 4 x 4 pixels, where copying the patches that each pixel has seen and multiplying
once takes a third of the time, 360 GFLOP/s. Only there it is done; elsewhere, and in any other
precision, the convolution is torch's own.

N samples, C channels in, O channels out, H W pixels, K K the window, P patches of all samples.
Imports torch alone.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PIXELS, CHANNELS = 49, 128
"""At most so many pixels of at least so many channels on the weight's coarser side."""


def conv2d(
    x_NCHW: Tensor, weight_OCKK: Tensor, bias_O: Tensor | None, stride: int, padding: int
) -> Tensor:
    """torch's, with the slopes by the weight as one product where that is faster."""
    side = (x_NCHW.shape[-1] + 2 * padding - weight_OCKK.shape[-1]) // stride + 1
    if not pays(x_NCHW, weight_OCKK, side * side):
        return F.conv2d(x_NCHW, weight_OCKK, bias_O, stride, padding)
    return _narrow(x_NCHW, weight_OCKK, bias_O, stride, padding, 0, transposed=False)


class Transposed(nn.ConvTranspose2d):
    """torch's, square, with the slopes by the weight as one product where that is faster."""

    def forward(self, x_NCHW: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, H, W) -> (N, O, H', W'), as torch says."""
        if output_size is not None or not pays(x_NCHW, self.weight, x_NCHW[0, 0].numel()):
            return super().forward(x_NCHW, output_size)
        stride, padding, more = self.stride[0], self.padding[0], self.output_padding[0]
        return _narrow(
            x_NCHW, self.weight, self.bias, stride, cast(int, padding), more, transposed=True
        )


def pays(x_NCHW: Tensor, weight: Tensor, pixels: int) -> bool:
    """Whether a convolution whose coarser side has so many pixels is faster like this, here."""
    return (
        pixels <= PIXELS
        and weight.shape[0] >= CHANNELS
        and weight.requires_grad
        and torch.is_grad_enabled()
        and in_matrix_unit(x_NCHW)
        and not torch.compiler.is_compiling()
    )


def in_matrix_unit(x_NCHW: Tensor) -> bool:
    """Whether what happens to `x` here is computed in bfloat16 by a CPU with AMX."""
    return (
        x_NCHW.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") is torch.bfloat16
        and _has_matrix_unit()
    )


@cache
def _has_matrix_unit() -> bool:
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def _narrow(
    x: Tensor, weight: Tensor, bias: Tensor | None, *shape: int, transposed: bool
) -> Tensor:
    """In bfloat16, as autocast would."""
    with torch.autocast("cpu", enabled=False):
        kind = torch.bfloat16
        narrow = None if bias is None else bias.to(kind)
        product = _Product.apply(x.to(kind), weight.to(kind), narrow, *shape, transposed)  # type: ignore[no-untyped-call]
        return cast(Tensor, product)


class _Product(torch.autograd.Function):
    """A convolution, transposed or not, of any precision; differentiable twice."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int,
        padding: int,
        more: int,
        transposed: bool,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.shape, ctx.transposed, ctx.biased = (
            (stride, padding, more),
            transposed,
            bias is not None,
        )
        if transposed:
            return F.conv_transpose2d(x, weight, bias, stride, padding, more)
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (stride, padding, more), (slope,) = ctx.shape, slopes
        by_x = by_weight = by_bias = None
        if ctx.needs_input_grad[0]:
            two = [stride, stride], [padding, padding], [1, 1]
            by_x = torch.ops.aten.convolution_backward(
                slope, x, weight, None, *two, ctx.transposed, [more, more], 1, [True, False, False]
            )[0]
        if ctx.needs_input_grad[1]:
            coarse, fine = (x, slope) if ctx.transposed else (slope, x)
            by_weight = slope_of_weight(coarse, fine, weight.shape[-1], stride, padding)
        if ctx.biased and ctx.needs_input_grad[2]:
            by_bias = slope.sum((0, 2, 3))
        return by_x, by_weight, by_bias, None, None, None, None


def slope_of_weight(
    coarse_NOHW: Tensor, fine_NCHW: Tensor, window: int, stride: int, padding: int
) -> Tensor:
    """(O, C, K, K): each coarse pixel times the patch of fine pixels that it has seen, summed."""
    outputs, inputs = coarse_NOHW.shape[1], fine_NCHW.shape[1]
    height, width = coarse_NOHW.shape[2:]
    padded_NHWC = F.pad(fine_NCHW.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    # One row of a window lies in one piece, which makes the copy cheap.
    patch_NHWCKK = padded_NHWC.unfold(1, window, stride).unfold(2, window, stride)
    patch_PF = (
        patch_NHWCKK[:, :height, :width]
        .permute(0, 1, 2, 4, 5, 3)
        .reshape(-1, window * window * inputs)
    )
    pixel_PO = coarse_NOHW.permute(0, 2, 3, 1).reshape(-1, outputs)
    return (pixel_PO.t() @ patch_PF).view(outputs, window, window, inputs).permute(0, 3, 1, 2)
