"""Layers of the players: convolutions, the discriminator's last layers, a batch's deviation.

N samples, M images of a pack, C channels, H W pixels, K classes, F features, G samples of a group.
Imports torch alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .narrow import fits, halved
from .norms import Alone, BatchNorm, Norm, Replicas, SpectralNorm
from .products import conv2d

__all__ = [
    "Alone",
    "BatchNorm",
    "Conv",
    "MinibatchStddev",
    "Norm",
    "Projection",
    "Replicas",
    "Score",
    "SpectralNorm",
]


class Conv(nn.Module):
    """A convolution with weights from N(0, std), spectrally normalised if asked."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        spectral: bool = False,
        bias: bool = True,
        std: float = 0.02,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) * std)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.norm = SpectralNorm(self.weight) if spectral else nn.Identity()
        self.stride, self.padding = stride, padding

    def forward(self, x_NCHW: Tensor) -> Tensor:
        weight = self.norm(self.weight)
        if fits(x_NCHW, weight, self.stride, self.padding):
            return halved(x_NCHW, weight, self.bias)
        return conv2d(x_NCHW, weight, self.bias, self.stride, self.padding)


class Score(nn.Module):
    """logit = w . phi + b, one per sample and whatever its label; w over its own length if asked.

    Without `bias` there is no b, which a loss of differences of logits alone could not teach.
    Computed in the parameters' precision under autocast too.
    """

    def __init__(
        self, features: int, *, spectral: bool, std: float = 0.02, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, features) * std)
        self.bias = nn.Parameter(torch.zeros(1)) if bias else None
        self.weight_norm = SpectralNorm(self.weight) if spectral else nn.Identity()

    def forward(self, phi_NF: Tensor, label_N: Tensor) -> Tensor:
        """(N, F), anything -> logit_N."""
        direction_F = self.weight_norm(self.weight)[0]
        logit_N: Tensor = (phi_NF.to(direction_F.dtype) * direction_F).sum(1)
        return logit_N if self.bias is None else logit_N + self.bias


class Projection(nn.Module):
    """Miyato and Koyama 2018, eq. 3: logit = (w + v_y) . phi + b, one logit per sample.

    The unconditional w and the class matrix v are each over their own largest singular value if
    `spectral`. A pack of M images has M labels, and v_y is the mean of theirs. Without `bias` there
    is no b, as in Score. Computed in the parameters' precision under autocast too.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        spectral: bool,
        std: float = 0.02,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, features) * std)
        self.bias = nn.Parameter(torch.zeros(1)) if bias else None
        self.embedding = nn.Parameter(torch.randn(classes, features) * std)
        self.weight_norm = SpectralNorm(self.weight) if spectral else nn.Identity()
        self.embedding_norm = SpectralNorm(self.embedding) if spectral else nn.Identity()

    def forward(self, phi_NF: Tensor, label_N: Tensor) -> Tensor:
        """(N, F), (N,) or (N, M) int64 -> logit_N."""
        class_NF = F.embedding(label_N, self.embedding_norm(self.embedding))
        if label_N.ndim == 2:
            class_NF = class_NF.mean(1)
        direction_NF = self.weight_norm(self.weight) + class_NF
        logit_N: Tensor = (phi_NF.to(direction_NF.dtype) * direction_NF).sum(1)
        return logit_N if self.bias is None else logit_N + self.bias


class MinibatchStddev(nn.Module):
    """Karras et al. 2018, section 3: how much a group of samples differs, as one channel more.

    The standard deviation over the group, of each channel and pixel, averaged over both. Groups are
    samples that follow each other: ranks whose share is a multiple of `group` have the groups of
    one rank, and real and generated samples, one after the other, do not meet. `scale` times as
    large as in the paper. Never in less than float32.
    """

    def __init__(self, group: int, scale: float = 1.0) -> None:
        super().__init__()
        self.group, self.scale = group, scale

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, C) or (N, C, H, W) -> C + 1 channels; raises ValueError if groups do not divide N."""
        if len(x_NCHW) % self.group:
            raise ValueError(f"{len(x_NCHW)} samples are not a multiple of groups of {self.group}")
        wide_NCHW = x_NCHW.to(torch.promote_types(x_NCHW.dtype, torch.float32))
        groups = wide_NCHW.view(-1, self.group, *x_NCHW.shape[1:])
        # The square root has no derivative at zero, where a collapsed generator arrives.
        spread = (groups.var(1, correction=0) + 1e-8).sqrt().flatten(1).mean(1)
        plane = (self.scale * spread).repeat_interleave(self.group).to(x_NCHW.dtype)
        shape = (len(x_NCHW), 1, *x_NCHW.shape[2:])
        return torch.cat([x_NCHW, plane.view(-1, *[1] * (x_NCHW.ndim - 1)).expand(shape)], 1)
