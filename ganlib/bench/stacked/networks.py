"""The small networks of the hard protocol (Metz et al. 2017, appendix; Lin et al. 2018, 4.2).

N samples, C channels, H W = 28 pixels, Z latent.
"""

from __future__ import annotations

from torch import Tensor, nn

from ganlib.models.layers import MinibatchStddev

WIDTHS = (32, 16, 8)


class Generator(nn.Module):
    """4 x 4 x 64, then 32, 16 and 8 channels at 7, 14 and 28 pixels, then the image; 3x3 windows,
    batch norm and ReLU.
    """

    latent = "normal"

    def __init__(self, channels: int, latent_size: int) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.start = nn.Linear(latent_size, 64 * 4 * 4, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(64), nn.ReLU()]
        inputs = 64
        for place, outputs in enumerate(WIDTHS):
            odd = int(place > 0)  # 4 to 7 pixels, then 14 and 28
            layers += [nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, odd, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        self.body = nn.Sequential(*layers, nn.Conv2d(inputs, channels, 3, padding=1), nn.Tanh())

    def forward(self, z_NZ: Tensor, label_N: Tensor) -> Tensor:
        """-> image_NCHW in [-1, 1]; there are no labels."""
        image_NCHW: Tensor = self.body(self.start(z_NZ).view(-1, 64, 4, 4))
        return image_NCHW


class Discriminator(nn.Module):
    """Three 3x3 convolutions that halve the side, the channels doubling from `width`.

    Above them, with a group of some, the deviation in each group of samples (`MinibatchStddev`).
    """

    def __init__(self, channels: int, width: int, batch_norm: bool, group: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, outputs = channels, width
        for place in range(3):
            normed = batch_norm and place > 0
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=not normed)]
            layers += [nn.BatchNorm2d(outputs)] if normed else []
            layers += [nn.LeakyReLU(0.3)]
            inputs, outputs = outputs, 2 * outputs
        layers += [MinibatchStddev(group)] if group else []
        self.body = nn.Sequential(*layers)
        self.finish = nn.Linear((inputs + bool(group)) * 4 * 4, 1)

    def forward(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """-> logit_N, above zero for real."""
        logit_N: Tensor = self.finish(self.body(image_NCHW).flatten(1)).squeeze(1)
        return logit_N


def generator(*, size: int, channels: int, classes: int, latent_size: int = 256) -> nn.Module:
    """As `gan.generator.network.build` calls it. Raises ValueError for other than 28 pixels."""
    if size != 28:
        raise ValueError(f"{size} pixels, and the paper's generator makes 28")
    return Generator(channels, latent_size)


def discriminator(
    *,
    size: int,
    channels: int,
    classes: int,
    width: int,
    batch_norm: bool = True,
    minibatch_stddev: int = 0,
) -> nn.Module:
    """As `gan.discriminator.network.build` calls it. Raises ValueError for other than 28 pixels."""
    if size != 28:
        raise ValueError(f"{size} pixels, and the paper's discriminator reads 28")
    return Discriminator(channels, width, batch_norm, minibatch_stddev)
