"""The DCGAN family: strided convolutions, no pooling, no dense layer between.

N samples, M images of a pack, C channels, H W pixels, K classes, F features, Z latent. Images are
in [-1, 1].
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from ..latent import Latent
from ..layers import Conv, Norm, Replicas
from ..narrow import Doubling
from ..norms import absorbs, norm_layer, shifts, spectrally_normalised
from ..products import Transposed
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
from .sizes import sides


class Generator(nn.Module):
    """Radford et al. 2015, batch norm over all ranks; an embedding of the class stands beside z.

    From base x base pixels each transposed 4x4 convolution doubles the side, and adds a pixel
    where the side to reach is odd, and halves the channels, down to `width` before the last, which
    is not normalised. Images below 16 pixels double once, so they get a 3x3 convolution between,
    for a second hidden layer. Weights from N(0, 0.02).
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int,
        latent_size: int,
        embedding_size: int,
        # A model written before these could be chosen names none of them.
        latent: Latent = "normal",
        conditioning: GeneratorConditioning = "concatenation",
        norm: Norm = "batch",
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.latent_size, self.latent = latent_size, latent
        self.base, *larger = sides(size)
        hidden = self.start_channels = width << max(len(larger) - 1, 1)
        bias = not absorbs(norm)
        self.embedding = class_embedding(conditioning, classes, embedding_size)
        inputs = start_size(latent_size, self.embedding)
        self.start = nn.Linear(inputs, hidden * self.base * self.base, bias=bias)
        layers: list[nn.Module] = [norm_layer(norm, hidden, replicas=replicas), nn.ReLU()]
        if len(larger) == 1:
            layers += [nn.Conv2d(hidden, width, 3, padding=1, bias=bias)]
            layers += [norm_layer(norm, width, replicas=replicas), nn.ReLU()]
            hidden = width
        for side in larger[:-1]:
            layers += [Transposed(hidden, hidden // 2, 4, 2, 1, side % 2, bias=bias)]
            hidden //= 2
            layers += [norm_layer(norm, hidden, replicas=replicas), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.finish = Doubling(hidden, channels, odd=size % 2 == 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
        if norm == "spectral":
            spectrally_normalised(self)

    def forward(self, z_NZ: Tensor, label_N: Tensor) -> Tensor:
        """(N, Z), (N,) int64 -> image_NCHW in [-1, 1]."""
        start_NZ = start(z_NZ, label_N, self.embedding)
        x_NCHW = self.start(start_NZ).view(-1, self.start_channels, self.base, self.base)
        return torch.tanh(self.finish(self.body(x_NCHW)))


class Discriminator(nn.Module):
    """Radford et al. 2015; with "spectral" a weight norm stands in place of batch norm.

    Each 4x4 convolution halves the side, rounded down, and doubles the channels, from `width`,
    down to base x base pixels, which are the features, flattened. Images below 16 pixels get a 3x3
    convolution first. The first layer is not normalised by statistics.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int,
        norm: Norm,
        conditioning: DiscriminatorConditioning,
        minibatch_stddev: int,
        bias: bool,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        base, *larger = sides(size)
        spectral = norm == "spectral"
        self.entrance = Entrance(conditioning, channels, classes)
        inputs, outputs = self.entrance.channels, width
        layers: list[nn.Module] = []
        for kernel, stride in [(3, 1), (4, 2)] if len(larger) == 1 else [(4, 2)] * len(larger):
            normed = shifts(norm) and bool(layers)
            size_of = {"stride": stride, "padding": 1}
            adds = not (normed and absorbs(norm))
            layers += [Conv(inputs, outputs, kernel, **size_of, spectral=spectral, bias=adds)]
            if normed:
                layers += [norm_layer(norm, outputs, replicas=replicas)]
            layers += [nn.LeakyReLU(0.2)]
            inputs, outputs = outputs, 2 * outputs
        self.body = nn.Sequential(*layers)
        self.stddev = deviation(
            minibatch_stddev,
            inputs,
            partial(Conv, kernel=3, padding=1, spectral=spectral),
            slope=0.2,
        )
        self.head = head(
            conditioning, inputs * base * base, classes, spectral=spectral, std=0.02, bias=bias
        )

    def features(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """-> phi_NF, what the output weighs."""
        phi_NCHW: Tensor = self.stddev(self.body(self.entrance(image_NCHW, label_N)))
        return phi_NCHW.flatten(1)

    def forward(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """(N, C, H, W), (N,) or (N, M) int64 -> logit_N; above zero means real."""
        logit_N: Tensor = self.head(self.features(image_NCHW, label_N), label_N)
        return logit_N
