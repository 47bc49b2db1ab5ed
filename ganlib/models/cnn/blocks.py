"""The basic residual block and its two shortcuts. N samples, C channels, H W pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import BatchNorm, Replicas


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2015, figure 2), batch norm over ranks.

    Where channels or pixels change, the shortcut is a 1x1 convolution (option B) if `convolved`,
    and otherwise has no weights (option A).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        convolved: bool = True,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = BatchNorm(outputs, replicas=replicas)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(outputs, replicas=replicas)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = (
                nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                    BatchNorm(outputs, replicas=replicas),
                )
                if convolved
                else PaddedShortcut(outputs - inputs, stride)
            )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = F.relu(self.norm1(self.conv1(x_NCHW)))
        return F.relu(self.norm2(self.conv2(y_NCHW)) + self.shortcut(x_NCHW))


class PaddedShortcut(nn.Module):
    """Every `stride`-th pixel, and `more` channels of zeros after those there are (option A)."""

    def __init__(self, more: int, stride: int) -> None:
        super().__init__()
        self.more, self.stride = more, stride

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.pad(x_NCHW[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))


def groups(
    channels: list[int],
    blocks: int,
    *,
    inputs: int,
    convolved: bool = True,
    replicas: Replicas | None = None,
) -> nn.Sequential:
    """`blocks` blocks for each of `channels`; each group but the first halves the pixels."""
    layers: list[nn.Module] = []
    for group, outputs in enumerate(channels):
        for block in range(blocks):
            stride = 2 if group and not block else 1
            layers.append(
                BasicBlock(inputs, outputs, stride, convolved=convolved, replicas=replicas)
            )
            inputs = outputs
    return nn.Sequential(*layers)


def he_weights(module: nn.Module) -> None:
    """Convolutions from N(0, 2 / fan-out), as He et al. 2015b ask of rectified networks."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
