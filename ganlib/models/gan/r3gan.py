"""The modern baseline of Huang et al. 2024 (R3GAN), config E: residual blocks and no norm at all.

N samples, M images of a pack, C channels, H W pixels, F features, Z latent. Images are in [-1, 1].

Where we depart: the generator ends in tanh; the side is doubled with plain bilinear weights and
halved by the mean of four pixels, or nine where it is odd, which is the same at half the scale,
where the paper's filter is (1, 2, 1); the class is projected with w + v_y where the paper
multiplies by an embedding alone; the coarsest map has 4 to 7 pixels a side. `norm` and `replicas`
are what every player is built with; nothing here has statistics.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..latent import Latent
from ..norms import Replicas
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
from .sizes import sides, widths

SLOPE = 0.2
RECTIFIED = (2 / (1 + SLOPE**2)) ** 0.5


class Generator(nn.Module):
    """A learned base x base map scaled by a linear layer of z, then stages of `blocks` blocks.

    From the image back, channels double from `width` up to `max_width`.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int,
        max_width: int,
        blocks: int,
        expansion: int,
        group_size: int,
        latent_size: int,
        embedding_size: int,
        latent: Latent,
        conditioning: GeneratorConditioning,
        norm: Literal["none"],
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.latent_size, self.latent = latent_size, latent
        coarse_sides = sides(size)
        base = coarse_sides[0]
        coarse_first = widths(width, max_width, len(coarse_sides))[::-1]
        inputs = coarse_first[0]
        self.embedding = class_embedding(conditioning, classes, embedding_size)
        self.start = nn.Linear(start_size(latent_size, self.embedding), inputs, bias=False)
        _scale(self.start, 1)
        self.basis = nn.Parameter(torch.randn(inputs, base, base))
        depth = blocks * len(coarse_first)
        layers: list[nn.Module] = []
        for stage, (outputs, side) in enumerate(zip(coarse_first, coarse_sides, strict=True)):
            if stage:
                layers.append(_Double(inputs, outputs, side))
            layers += [_Block(outputs, expansion, group_size, depth) for _ in range(blocks)]
            inputs = outputs
        self.body = nn.Sequential(*layers)
        self.finish = _pointwise(inputs, channels)

    def forward(self, z_NZ: Tensor, label_N: Tensor) -> Tensor:
        """(N, Z), (N,) int64 -> image_NCHW in [-1, 1]."""
        scale_NC = self.start(start(z_NZ, label_N, self.embedding))
        x_NCHW = self.basis.to(scale_NC.dtype) * scale_NC[:, :, None, None]
        return torch.tanh(self.finish(self.body(x_NCHW)))


class Discriminator(nn.Module):
    """The generator's mirror: stages of blocks, then one weighted sum over pixels per channel."""

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int,
        max_width: int,
        blocks: int,
        expansion: int,
        group_size: int,
        conditioning: DiscriminatorConditioning,
        minibatch_stddev: int,
        bias: bool,
        norm: Literal["none"],
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        base, *larger = sides(size)
        fine_first = widths(width, max_width, len(larger) + 1)
        self.entrance = Entrance(conditioning, channels, classes)
        inputs = fine_first[0]
        self.begin = _pointwise(self.entrance.channels, inputs)
        depth = blocks * len(fine_first)
        layers: list[nn.Module] = []
        for stage, outputs in enumerate(fine_first):
            if stage:
                layers.append(_Halve(inputs, outputs))
            layers += [_Block(outputs, expansion, group_size, depth) for _ in range(blocks)]
            inputs = outputs
        self.body = nn.Sequential(*layers)
        self.stddev = deviation(minibatch_stddev, inputs, _mixing, SLOPE)
        self.basis = nn.Conv2d(inputs, inputs, base, groups=inputs, bias=False)
        _scale(self.basis, 1)
        self.head = head(conditioning, inputs, classes, spectral=False, std=inputs**-0.5, bias=bias)

    def features(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """-> phi_NF, what the output weighs."""
        x_NCHW = self.body(self.begin(self.entrance(image_NCHW, label_N)))
        phi_NF: Tensor = self.basis(self.stddev(x_NCHW)).flatten(1)
        return phi_NF

    def forward(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """(N, C, H, W), (N,) or (N, M) int64 -> logit_N; above zero means real."""
        logit_N: Tensor = self.head(self.features(image_NCHW, label_N), label_N)
        return logit_N


class _Block(nn.Module):
    """x + 1x1(act(grouped 3x3(act(1x1(x))))), wide inside; `depth` counts the player's blocks.

    Fix-up initialisation (Zhang et al. 2019): the last layer is zero, so every block starts as the
    identity, and the others are scaled by depth^(-1/4), for two of them learn. The last layer has
    no bias.
    """

    def __init__(self, channels: int, expansion: int, group_size: int, depth: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.enter = nn.Conv2d(channels, wide, 1)
        self.mix = nn.Conv2d(wide, wide, 3, padding=1, groups=wide // group_size)
        self.leave = nn.Conv2d(wide, channels, 1, bias=False)
        for layer in (self.enter, self.mix):
            _scale(layer, RECTIFIED * depth**-0.25)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = F.leaky_relu(self.enter(x_NCHW), SLOPE)
        y_NCHW = self.leave(F.leaky_relu(self.mix(y_NCHW), SLOPE))
        out_NCHW: Tensor = x_NCHW + y_NCHW
        return out_NCHW


class _Double(nn.Module):
    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.change = _change(inputs, outputs)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return enlarged(self.change(x_NCHW), self.side, "bilinear")


class _Halve(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.change = _change(inputs, outputs)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW: Tensor = self.change(halved(x_NCHW))
        return y_NCHW


def _change(inputs: int, outputs: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else _pointwise(inputs, outputs)


def _pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 1, bias=False)
    _scale(layer, 1)
    return layer


def _mixing(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    _scale(layer, RECTIFIED)
    return layer


def _scale(layer: nn.Conv2d | nn.Linear, gain: float) -> None:
    """Weights from N(0, gain^2 / inputs of one output), biases at zero."""
    nn.init.normal_(layer.weight, std=gain / layer.weight[0].numel() ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
