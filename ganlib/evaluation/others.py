"""The real images that stand in for generated ones: what nothing learnt from comes first.

N images, H W pixels, C channels
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganlib.data import ImageRows, Images, StoredImages


@dataclass(frozen=True)
class Others:
    """Images of the validation split, and after them those that were learnt from.

    A judge knows its training images better than others, so that real against real would look
    worse than it is, or better; they are taken only where validation has too few.
    """

    unseen: Images
    seen: Images | StoredImages

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.seen.image_NHWC.shape[1:])

    def __len__(self) -> int:
        return len(self.unseen) + len(self.seen)

    def labels(self) -> Tensor:
        """label_N"""
        return torch.cat([self.unseen.label_N.cpu(), self.seen.label_N.cpu()])

    def __getitem__(self, wanted: Any, /) -> Tensor:
        """image_NHWC of whole numbers, in their order."""
        row_N = torch.as_tensor(wanted).cpu()
        first_N = row_N < len(self.unseen)
        of_seen: ImageRows = self.seen.image_NHWC
        image_NHWC = torch.empty((len(row_N), *self.shape[1:]), dtype=torch.uint8)
        image_NHWC[first_N] = self.unseen.image_NHWC[row_N[first_N]].cpu()
        image_NHWC[~first_N] = of_seen[row_N[~first_N] - len(self.unseen)].cpu()
        return image_NHWC
