"""AlexNet, for large and for small images.

N samples, C channels, H W pixels, K classes, F features.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import he_weights
from .dropout import Dropout

SHARES = (1, 3, 6, 4, 4)
"""Channels of the five convolutions, times `width`."""


class AlexNet(nn.Module):
    """Krizhevsky et al. 2012 in the one tower of Krizhevsky 2014: no local response normalisation.

    The variant `imagenet` has 61.1M parameters at 224 pixels and 1000 classes in colour; other
    sizes from 63 on leave another number of pixels to the first hidden layer. The variant `small`
    has 3x3 convolutions, three poolings by two and a quarter of the hidden units. Weights are
    He's, with which the rectified layers learn from the start. Raises ValueError below 63 pixels
    for `imagenet`, below 8 for `small`.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        classes: int,
        variant: str = "small",
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if variant not in ("small", "imagenet"):
            raise ValueError(f"there is no variant {variant}")
        large = variant == "imagenet"
        smallest = 63 if large else 8
        if size < smallest:
            raise ValueError(f"AlexNet {variant} needs images of at least {smallest} pixels")
        self.arguments = {
            "size": size,
            "channels": channels,
            "classes": classes,
            "variant": variant,
            "width": width,
            "dropout": dropout,
        }
        self.feature_size = (64 if large else 16) * width
        self.pool = (3, 2) if large else (2, 2)
        first, second, third, fourth, fifth = (width * share for share in SHARES)
        if large:
            self.conv1 = nn.Conv2d(channels, first, 11, stride=4, padding=2)
            self.conv2 = nn.Conv2d(first, second, 5, padding=2)
        else:
            self.conv1 = nn.Conv2d(channels, first, 3, padding=1)
            self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.conv4 = nn.Conv2d(third, fourth, 3, padding=1)
        self.conv5 = nn.Conv2d(fourth, fifth, 3, padding=1)
        side = (size - 7) // 4 + 1 if large else size
        for _ in range(3):
            side = (side - self.pool[0]) // self.pool[1] + 1
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.hidden1 = nn.Linear(fifth * side * side, self.feature_size)
        self.hidden2 = nn.Linear(self.feature_size, self.feature_size)
        self.head = nn.Linear(self.feature_size, classes)
        he_weights(self)
        for layer in (self.hidden1, self.hidden2):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def features(self, image_NCHW: Tensor) -> Tensor:
        """-> feature_NF, the rectified units of the second hidden layer."""
        x_NCHW = F.max_pool2d(F.relu(self.conv1(image_NCHW)), *self.pool)
        x_NCHW = F.max_pool2d(F.relu(self.conv2(x_NCHW)), *self.pool)
        x_NCHW = F.relu(self.conv4(F.relu(self.conv3(x_NCHW))))
        x_NCHW = F.max_pool2d(F.relu(self.conv5(x_NCHW)), *self.pool)
        x_NF = F.relu(self.hidden1(self.dropout1(x_NCHW.flatten(1))))
        return F.relu(self.hidden2(self.dropout2(x_NF)))

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """-> logits_NK."""
        logits_NK: Tensor = self.head(self.features(image_NCHW))
        return logits_NK
