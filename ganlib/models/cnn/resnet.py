"""Residual networks for small images. N samples, C channels, H W pixels, K classes, F features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import BatchNorm, Replicas
from .blocks import groups, he_weights


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
        outputs = [width << group for group in range(3)]
        self.blocks = groups(outputs, blocks, inputs=width, replicas=replicas)
        self.head = nn.Linear(self.feature_size, classes)
        he_weights(self)

    def features(self, image_NCHW: Tensor) -> Tensor:
        """-> feature_NF, the mean over pixels of the last group."""
        x_NCHW: Tensor = self.blocks(F.relu(self.norm(self.stem(image_NCHW))))
        return x_NCHW.mean((2, 3))

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """-> logits_NK."""
        logits_NK: Tensor = self.head(self.features(image_NCHW))
        return logits_NK
