"""LeNet-5 for small images. N samples, C channels, H W pixels, K classes, F features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class LeNet5(nn.Module):
    """LeCun et al. 1998, with ReLU for tanh and max for average pooling.

    At 28 pixels the layer sizes are the paper's (its images were padded to 32). `width` times its
    channels where clothes need more than digits. Below 12 pixels the second convolution would leave
    nothing to pool, so there it is padded as the first one is.
    """

    def __init__(self, *, size: int, channels: int, classes: int, width: int = 1) -> None:
        super().__init__()
        self.arguments = {"size": size, "channels": channels, "classes": classes, "width": width}
        self.feature_size = 84
        padding = 2 if size < 12 else 0
        side = (size // 2 - 4 + 2 * padding) // 2
        self.conv1 = nn.Conv2d(channels, 6 * width, 5, padding=2)
        self.conv2 = nn.Conv2d(6 * width, 16 * width, 5, padding=padding)
        self.hidden1 = nn.Linear(16 * width * side * side, 120)
        self.hidden2 = nn.Linear(120, self.feature_size)
        self.head = nn.Linear(self.feature_size, classes)

    def features(self, image_NCHW: Tensor) -> Tensor:
        """-> feature_NF, the 84 rectified units below the output."""
        x_NCHW = F.max_pool2d(F.relu(self.conv1(image_NCHW)), 2)
        x_NCHW = F.max_pool2d(F.relu(self.conv2(x_NCHW)), 2)
        return F.relu(self.hidden2(F.relu(self.hidden1(x_NCHW.flatten(1)))))

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """-> logits_NK."""
        logits_NK: Tensor = self.head(self.features(image_NCHW))
        return logits_NK
