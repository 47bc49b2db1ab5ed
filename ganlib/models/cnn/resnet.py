"""Residual networks for small images. N samples, C channels, H W pixels, K classes, F features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import BatchNorm, Replicas


class SmallResNet(nn.Module):
    """He et al. 2015, section 4.2: three groups of `blocks` blocks, halving pixels in between.

    Depth is 6 * blocks + 2. Where a group widens, the shortcut is a 1x1 convolution (option B).
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        width: int = 16,
        blocks: int = 1,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        self.arguments = {
            "size": size,
            "channels": channels,
            "classes": classes,
            "width": width,
            "blocks": blocks,
        }
        self.feature_size = 4 * width
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = BatchNorm(width, replicas=replicas)
        layers: list[nn.Module] = []
        inputs = width
        for group in range(3):
            for block in range(blocks):
                stride = 2 if group and not block else 1
                layers.append(_Block(inputs, width << group, stride, replicas))
                inputs = width << group
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(self.feature_size, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, image_NCHW: Tensor) -> Tensor:
        """-> feature_NF, the mean over pixels of the last group."""
        x_NCHW: Tensor = self.blocks(F.relu(self.norm(self.stem(image_NCHW))))
        return x_NCHW.mean((2, 3))

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """-> logits_NK."""
        logits_NK: Tensor = self.head(self.features(image_NCHW))
        return logits_NK


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, replicas: Replicas | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = BatchNorm(outputs, replicas=replicas)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(outputs, replicas=replicas)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                BatchNorm(outputs, replicas=replicas),
            )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = F.relu(self.norm1(self.conv1(x_NCHW)))
        return F.relu(self.norm2(self.conv2(y_NCHW)) + self.shortcut(x_NCHW))
