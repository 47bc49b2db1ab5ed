"""The residual networks of CIFAR-10. N samples, C channels, H W pixels, K classes, F features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import BatchNorm, Replicas
from .blocks import groups, he_weights


class CifarResNet(nn.Module):
    """He et al. 2015, section 4.2: 6n + 2 layers of 16, 32 and 64 channels, shortcut option A.

    0.27M parameters at depth 20, 0.85M at 56, 1.7M at 110, for ten classes in colour. Raises
    ValueError for a depth that is not 6n + 2.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        depth: int = 20,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"a depth of {depth} is not 6n + 2")
        self.arguments = {"size": size, "channels": channels, "classes": classes, "depth": depth}
        self.feature_size = 64
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm = BatchNorm(16, replicas=replicas)
        self.blocks = groups([16, 32, 64], blocks, inputs=16, convolved=False, replicas=replicas)
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
