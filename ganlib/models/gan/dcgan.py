"""The DCGAN family, conditional on a class.

N samples, C channels, H W pixels, K classes, F features, Z latent. Images are in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..layers import BatchNorm, Conv, Projection, Replicas


def base_and_doublings(size: int) -> tuple[int, int]:
    """`size` = base * 2^doublings with base in 4..7; raises ValueError if there is no such pair."""
    base, doublings = size, 0
    while base > 7 and base % 2 == 0:
        base, doublings = base // 2, doublings + 1
    if not 4 <= base <= 7 or doublings < 1:
        raise ValueError(f"{size} pixels are not 4, 5, 6 or 7 times a power of two")
    return base, doublings


class Generator(nn.Module):
    """Radford et al. 2015, batch norm over all ranks; an embedding of the class stands beside z.

    From base x base pixels each transposed 4x4 convolution doubles the side and halves the
    channels, down to `width` before the last. 8-pixel images double once, so they get a 3x3
    convolution between, for a second hidden layer. Weights from N(0, 0.02).
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int = 32,
        latent_size: int = 64,
        embedding_size: int = 32,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.arguments = {
            "size": size,
            "channels": channels,
            "classes": classes,
            "width": width,
            "latent_size": latent_size,
            "embedding_size": embedding_size,
        }
        self.latent_size = latent_size
        self.base, doublings = base_and_doublings(size)
        hidden = self.start_channels = width << max(doublings - 1, 1)
        self.embedding = nn.Embedding(classes, embedding_size)
        self.start = nn.Linear(
            latent_size + embedding_size, hidden * self.base * self.base, bias=False
        )
        layers: list[nn.Module] = [BatchNorm(hidden, replicas=replicas), nn.ReLU()]
        if doublings == 1:
            layers += [nn.Conv2d(hidden, width, 3, padding=1, bias=False)]
            layers += [BatchNorm(width, replicas=replicas), nn.ReLU()]
            hidden = width
        for _ in range(doublings - 1):
            layers += [nn.ConvTranspose2d(hidden, hidden // 2, 4, 2, 1, bias=False)]
            hidden //= 2
            layers += [BatchNorm(hidden, replicas=replicas), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.finish = nn.ConvTranspose2d(hidden, channels, 4, 2, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, z_NZ: Tensor, label_N: Tensor) -> Tensor:
        """(N, Z), (N,) int64 -> image_NCHW in [-1, 1]."""
        start_NZ = torch.cat([z_NZ, self.embedding(label_N).to(z_NZ.dtype)], 1)
        x_NCHW = self.start(start_NZ).view(-1, self.start_channels, self.base, self.base)
        return torch.tanh(self.finish(self.body(x_NCHW)))


class Discriminator(nn.Module):
    """Radford et al. 2015 with a projection output and spectral norm in place of batch norm.

    Each 4x4 convolution halves the side and doubles the channels, from `width`, down to base x
    base pixels, which are the features, flattened. 8-pixel images get a 3x3 convolution first.
    Without `spectral_norm` there is no normalisation at all.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int = 32,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.arguments = {
            "size": size,
            "channels": channels,
            "classes": classes,
            "width": width,
            "spectral_norm": spectral_norm,
        }
        base, doublings = base_and_doublings(size)
        layers: list[nn.Module] = []
        inputs, outputs = channels, width
        if doublings == 1:
            layers += [Conv(inputs, outputs, 3, padding=1, spectral=spectral_norm)]
            layers += [nn.LeakyReLU(0.2)]
            inputs, outputs = outputs, 2 * outputs
        for _ in range(doublings):
            layers += [Conv(inputs, outputs, 4, stride=2, padding=1, spectral=spectral_norm)]
            layers += [nn.LeakyReLU(0.2)]
            inputs, outputs = outputs, 2 * outputs
        self.body = nn.Sequential(*layers)
        self.head = Projection(inputs * base * base, classes, spectral=spectral_norm)

    def features(self, image_NCHW: Tensor) -> Tensor:
        """-> phi_NF, what the output projects."""
        phi_NCHW: Tensor = self.body(image_NCHW)
        return phi_NCHW.flatten(1)

    def forward(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """(N, C, H, W), (N,) int64 -> logit_N; above zero means real."""
        logit_N: Tensor = self.head(self.features(image_NCHW), label_N)
        return logit_N
