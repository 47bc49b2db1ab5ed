"""Where the class enters a player, and with it the ends that all networks share.

N samples, M images of a pack, C channels, H W pixels, K classes, E embedding, F features, Z latent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import MinibatchStddev, Projection, Score

GeneratorConditioning = Literal["concatenation", "none"]
DiscriminatorConditioning = Literal["projection", "concatenation", "none"]


def class_embedding(
    conditioning: GeneratorConditioning, classes: int, embedding_size: int
) -> nn.Embedding | None:
    """The vectors that stand beside the noise, if any do."""
    return nn.Embedding(classes, embedding_size) if conditioning == "concatenation" else None


def start_size(latent_size: int, embedding: nn.Embedding | None) -> int:
    """How many numbers `start` gives."""
    return latent_size + (0 if embedding is None else embedding.embedding_dim)


def start(z_NZ: Tensor, label_N: Tensor, embedding: nn.Embedding | None) -> Tensor:
    """(N, Z), (N,) int64 -> (N, Z + E), or the noise itself where the class is ignored."""
    if embedding is None:
        return z_NZ
    return torch.cat([z_NZ, embedding(label_N).to(z_NZ.dtype)], 1)


class Entrance(nn.Module):
    """What a discriminator's first layer sees: the image, beside its class or not.

    `channels` counts what comes out: with "concatenation" one channel more for each class, one at
    the image's class and zero at the others (Mirza and Osindero 2014, with planes for vectors). A
    pack of M images has the mean of its classes.
    """

    def __init__(
        self, conditioning: DiscriminatorConditioning, channels: int, classes: int
    ) -> None:
        super().__init__()
        self.classes = classes if conditioning == "concatenation" else 0
        self.channels = channels + self.classes

    def forward(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """(N, C, H, W) or (N, C), (N,) or (N, M) int64 -> the same with `channels`."""
        if not self.classes:
            return image_NCHW
        share_NK = F.one_hot(label_N, self.classes).to(image_NCHW.dtype)
        if label_N.ndim == 2:
            share_NK = share_NK.mean(1)
        plane_NKHW = share_NK.view(*share_NK.shape, *[1] * (image_NCHW.ndim - 2))
        shape = (*share_NK.shape, *image_NCHW.shape[2:])
        return torch.cat([image_NCHW, plane_NKHW.expand(shape)], 1)


def head(
    conditioning: DiscriminatorConditioning,
    features: int,
    classes: int,
    *,
    spectral: bool,
    std: float,
    bias: bool = True,
) -> nn.Module:
    """The last layer, (phi_NF, label) -> logit_N: it reads the label only to project on it."""
    match conditioning:
        case "projection":
            return Projection(features, classes, spectral=spectral, std=std, bias=bias)
        case "concatenation" | "none":
            return Score(features, spectral=spectral, std=std, bias=bias)
        case _:
            assert_never(conditioning)


def deviation(
    group: int, channels: int, mixing: Callable[[int, int], nn.Module], slope: float
) -> nn.Module:
    """The features beside how much a group of samples differs, mixed by a layer and rectified.

    `mixing(inputs, outputs)` makes the layer, and `slope` is that of a LeakyReLU. Karras et al.
    2018, table 2, have a 3x3 convolution behind the deviation. One channel among `channels` would
    have little to say, and less under spectral norm, so here it is sqrt(`channels`) times theirs:
    at most as long as all that the samples of a group differ by, hence as steep as the features. A
    group of 0 samples is none, and features stay as they are.
    """
    if not group:
        return nn.Identity()
    stddev = MinibatchStddev(group, scale=channels**0.5)
    return nn.Sequential(stddev, mixing(channels + 1, channels), nn.LeakyReLU(slope))
