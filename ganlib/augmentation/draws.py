"""The random numbers behind an augmentation, one row per sample.

N samples, T transforms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """float32, for T transforms in the order of the augmentation's own list.

    chance_NT in [0, 1): a transform happens where its chance is below p. uniform_NT2 in [0, 1) and
    normal_NT2 say by how much, along two axes where it has two. They know neither p nor the size
    of the images, so a change of either leaves every draw as it was.
    """

    chance_NT: Tensor
    uniform_NT2: Tensor
    normal_NT2: Tensor

    @staticmethod
    def make(count: int, transforms: int, generator: torch.Generator) -> Draws:
        """From a CPU generator."""
        return Draws(
            torch.rand(count, transforms, generator=generator),
            torch.rand(count, transforms, 2, generator=generator),
            torch.randn(count, transforms, 2, generator=generator),
        )

    def slice(self, take: Callable[[Tensor], Tensor]) -> Draws:
        """What `take` takes of each tensor: `draws.slice(replicas.slice)`."""
        return Draws(take(self.chance_NT), take(self.uniform_NT2), take(self.normal_NT2))

    def like(self, image_NCHW: Tensor) -> Draws:
        """Where the image is and as precise."""
        return self.slice(lambda tensor: tensor.to(image_NCHW))
