"""ResNet-18, for large and for small images.

N samples, C channels, H W pixels, K classes, F features.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import BatchNorm, Replicas
from .blocks import groups, he_weights


class ResNet18(nn.Module):
    """He et al. 2015, table 1: four groups of two blocks, 64 to 512 channels, shortcut option B.

    The stem `imagenet` is the paper's, a 7x7 convolution and a pooling that leave a quarter of the
    pixels in each direction: 11.69M parameters at 1000 classes in colour. The stem `small` is a
    3x3 convolution that leaves them all. Raises ValueError below 32 pixels with the former.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        stem: str = "small",
        width: int = 64,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        if stem not in ("small", "imagenet"):
            raise ValueError(f"there is no stem {stem}")
        self.large = stem == "imagenet"
        if self.large and size < 32:
            raise ValueError(f"ResNet-18's own stem needs images of at least 32 pixels, not {size}")
        self.arguments = {
            "size": size,
            "channels": channels,
            "classes": classes,
            "stem": stem,
            "width": width,
        }
        self.feature_size = 8 * width
        kernel, stride = (7, 2) if self.large else (3, 1)
        self.stem = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = BatchNorm(width, replicas=replicas)
        outputs = [width << group for group in range(4)]
        self.blocks = groups(outputs, 2, inputs=width, replicas=replicas)
        self.head = nn.Linear(self.feature_size, classes)
        he_weights(self)

    def features(self, image_NCHW: Tensor) -> Tensor:
        """-> feature_NF, the mean over pixels of the last group."""
        x_NCHW: Tensor = F.relu(self.norm(self.stem(image_NCHW)))
        if self.large:
            x_NCHW = F.max_pool2d(x_NCHW, 3, stride=2, padding=1)
        x_NCHW = self.blocks(x_NCHW)
        return x_NCHW.mean((2, 3))

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """-> logits_NK."""
        logits_NK: Tensor = self.head(self.features(image_NCHW))
        return logits_NK
