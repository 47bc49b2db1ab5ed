"""Residual players of Miyato et al. 2018 (SNGAN), appendix B.4.

N samples, M images of a pack, C channels, H W pixels, F features, Z latent. Images are in [-1, 1].

Where we depart: the generator's class stands beside z instead of inside conditional batch norm, and
a layer whose output is shifted by a norm has no bias.
"""

from __future__ import annotations

import math
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..latent import Latent
from ..norms import Norm, Replicas, absorbs, norm_layer, spectrally_normalised
from .conditioning import (
    DiscriminatorConditioning,
    Entrance,
    GeneratorConditioning,
    class_embedding,
    deviation,
    head,
    start,
    start_size,
)
from .resample import enlarged, halved
from .sizes import halvings, sides, widths


class Generator(nn.Module):
    """A dense layer to base x base pixels, then one block for each doubling of the side.

    From the image back, channels double from `width` up to `max_width`: 256 and 256 are the paper's
    generator for CIFAR-10, 64 and 1024 the one for ImageNet.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int,
        max_width: int,
        latent_size: int,
        embedding_size: int,
        latent: Latent,
        conditioning: GeneratorConditioning,
        norm: Norm,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.latent_size, self.latent = latent_size, latent
        self.base, *larger = sides(size)
        coarse_first = widths(width, max_width, len(larger))[::-1]
        inputs = self.start_channels = coarse_first[0]
        self.embedding = class_embedding(conditioning, classes, embedding_size)
        self.start = nn.Linear(
            start_size(latent_size, self.embedding), inputs * self.base * self.base
        )
        blocks: list[nn.Module] = []
        for outputs, side in zip(coarse_first, larger, strict=True):
            blocks.append(_Up(inputs, outputs, side, norm, replicas))
            inputs = outputs
        self.body = nn.Sequential(*blocks)
        self.norm = norm_layer(norm, inputs, replicas=replicas)
        self.finish = nn.Conv2d(inputs, channels, 3, padding=1)
        _initialise(self)
        if norm == "spectral":
            spectrally_normalised(self)

    def forward(self, z_NZ: Tensor, label_N: Tensor) -> Tensor:
        """(N, Z), (N,) int64 -> image_NCHW in [-1, 1]."""
        start_NZ = start(z_NZ, label_N, self.embedding)
        x_NCHW = self.start(start_NZ).view(-1, self.start_channels, self.base, self.base)
        return torch.tanh(self.finish(F.relu(self.norm(self.body(x_NCHW)))))


class Discriminator(nn.Module):
    """Blocks that halve the side, `plain_blocks` that do not, then the sum over all pixels.

    Channels double from `width` up to `max_width`, and halving stops where the side would be below
    `smallest`: 128, 128, 8 pixels and two plain blocks are the paper's discriminator for CIFAR-10;
    64, 1024, 4 pixels and one are that for ImageNet.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int,
        max_width: int,
        smallest: int,
        plain_blocks: int,
        norm: Norm,
        conditioning: DiscriminatorConditioning,
        minibatch_stddev: int,
        bias: bool,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.entrance = Entrance(conditioning, channels, classes)
        first, *others = widths(width, max_width, halvings(size, smallest))
        blocks: list[nn.Module] = [_First(self.entrance.channels, first)]
        inputs = first
        for outputs in others:
            blocks.append(_Down(inputs, outputs, norm, replicas, halves=True))
            inputs = outputs
        for _ in range(plain_blocks):
            blocks.append(_Down(inputs, inputs, norm, replicas, halves=False))
        self.body = nn.Sequential(*blocks)
        mixing = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.stddev = deviation(minibatch_stddev, inputs, mixing, slope=0)
        _initialise(self)
        spectral = norm == "spectral"
        if spectral:
            spectrally_normalised(self)
        self.head = head(
            conditioning, inputs, classes, spectral=spectral, std=inputs**-0.5, bias=bias
        )

    def features(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """-> phi_NF, what the output weighs."""
        x_NCHW: Tensor = self.body(self.entrance(image_NCHW, label_N))
        phi_NF: Tensor = self.stddev(F.relu(x_NCHW)).sum((2, 3))
        return phi_NF

    def forward(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """(N, C, H, W), (N,) or (N, M) int64 -> logit_N; above zero means real."""
        logit_N: Tensor = self.head(self.features(image_NCHW, label_N), label_N)
        return logit_N


class _Up(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, side: int, norm: Norm, replicas: Replicas | None
    ) -> None:
        super().__init__()
        self.side = side
        # What these would add is constant over pixels up to the next norm, which takes it away.
        bias = not absorbs(norm)
        self.norm1 = norm_layer(norm, inputs, replicas=replicas)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
        self.norm2 = norm_layer(norm, outputs, replicas=replicas)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=bias)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = self.conv1(enlarged(F.relu(self.norm1(x_NCHW)), self.side, "nearest"))
        y_NCHW = self.conv2(F.relu(self.norm2(y_NCHW)))
        # A 1x1 convolution and repeating pixels commute: this order costs a quarter.
        out_NCHW: Tensor = y_NCHW + enlarged(self.shortcut(x_NCHW), self.side, "nearest")
        return out_NCHW


class _First(nn.Module):
    """No activation and no norm before the first layer: it sees the image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = self.conv2(F.relu(self.conv1(x_NCHW)))
        out_NCHW: Tensor = halved(y_NCHW) + self.shortcut(halved(x_NCHW))
        return out_NCHW


class _Down(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, norm: Norm, replicas: Replicas | None, *, halves: bool
    ) -> None:
        super().__init__()
        self.halves = halves
        self.norm1 = norm_layer(norm, inputs, replicas=replicas)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not absorbs(norm))
        self.norm2 = norm_layer(norm, outputs, replicas=replicas)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut: nn.Module = nn.Identity()
        if halves:
            self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = self.conv1(F.relu(self.norm1(x_NCHW)))
        y_NCHW = self.conv2(F.relu(self.norm2(y_NCHW)))
        if not self.halves:
            return cast(Tensor, x_NCHW + y_NCHW)
        # As above: pooling first gives the same shortcut for a quarter of the work.
        out_NCHW: Tensor = halved(y_NCHW) + self.shortcut(halved(x_NCHW))
        return out_NCHW


def _initialise(player: nn.Module) -> None:
    """Glorot and Bengio 2010, times sqrt(2) for the 3x3 convolutions inside blocks."""
    for name, layer in player.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            inside = name.endswith(("conv1", "conv2"))
            nn.init.xavier_uniform_(layer.weight, gain=math.sqrt(2) if inside else 1)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
