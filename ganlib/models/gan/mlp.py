"""Fully connected players: an image is one long vector.

N samples, M images of a pack, C channels, H W pixels, F features, Z latent. Images are in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..latent import Latent
from ..norms import Norm, Replicas, norm_layer, shifts, spectrally_normalised
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


def _layers(
    inputs: int,
    widths: Sequence[int],
    slope: float,
    norms: Sequence[Norm],
    momentum: float,
    replicas: Replicas | None,
) -> nn.Sequential:
    """Linear, LeakyReLU, norm, for each width; the norm comes last as first tutorials have it.

    So it takes the statistics of what the next layer sees.
    """
    layers: list[nn.Module] = []
    for outputs, norm in zip(widths, norms, strict=True):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
        if shifts(norm):
            layers += [norm_layer(norm, outputs, replicas=replicas, momentum=momentum)]
        inputs = outputs
    return nn.Sequential(*layers)


class Generator(nn.Module):
    """Noise and class through hidden layers of `widths` to all pixels at once (tanh).

    Goodfellow et al. 2014 had rectifiers and no normalisation; with LeakyReLU and batch norm this
    is the generator of many first tutorials. Every hidden layer is normalised and the output is
    not. Weights have torch's initial values.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        widths: Sequence[int],
        slope: float,
        latent_size: int,
        embedding_size: int,
        latent: Latent,
        conditioning: GeneratorConditioning,
        norm: Norm,
        batch_norm_momentum: float,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.latent_size, self.latent = latent_size, latent
        self.shape = (channels, size, size)
        self.embedding = class_embedding(conditioning, classes, embedding_size)
        inputs = start_size(latent_size, self.embedding)
        norms = [norm] * len(widths)
        self.body = _layers(inputs, widths, slope, norms, batch_norm_momentum, replicas)
        self.finish = nn.Linear(widths[-1], channels * size * size)
        if norm == "spectral":
            spectrally_normalised(self)

    def forward(self, z_NZ: Tensor, label_N: Tensor) -> Tensor:
        """(N, Z), (N,) int64 -> image_NCHW in [-1, 1]."""
        x_NF = self.finish(self.body(start(z_NZ, label_N, self.embedding)))
        return torch.tanh(x_NF).view(-1, *self.shape)


class Discriminator(nn.Module):
    """All pixels through hidden layers of `widths`; the first one is not normalised by statistics.

    Weights have torch's initial values.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        widths: Sequence[int],
        slope: float,
        norm: Norm,
        batch_norm_momentum: float,
        conditioning: DiscriminatorConditioning,
        minibatch_stddev: int,
        bias: bool,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.entrance = Entrance(conditioning, channels * size * size, classes)
        norms: list[Norm] = ["none", *[norm] * (len(widths) - 1)]
        self.body = _layers(
            self.entrance.channels, widths, slope, norms, batch_norm_momentum, replicas
        )
        features = widths[-1]
        self.stddev = deviation(minibatch_stddev, features, nn.Linear, slope)
        spectral = norm == "spectral"
        if spectral:
            spectrally_normalised(self)
        self.head = head(
            conditioning,
            features,
            classes,
            spectral=spectral,
            std=(3 * features) ** -0.5,
            bias=bias,
        )

    def features(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """-> phi_NF, what the output weighs."""
        phi_NF: Tensor = self.stddev(self.body(self.entrance(image_NCHW.flatten(1), label_N)))
        return phi_NF

    def forward(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """(N, C, H, W), (N,) or (N, M) int64 -> logit_N; above zero means real."""
        logit_N: Tensor = self.head(self.features(image_NCHW, label_N), label_N)
        return logit_N
