"""Generated images beside the training images nearest to them: has it learnt, or learnt by heart?

N training images, M generated ones, J neighbours, H W pixels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.data import ImageRows
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.pictures import grid
from ganlib.metrics import nearest


@dataclass(frozen=True)
class NearestNeighbours:
    """index_MJ into the training images, nearest first, and their distances in feature space."""

    index_MJ: Tensor
    distance_MJ: Tensor

    def picture(
        self, image_MHWC: Tensor, train_NHWC: ImageRows, *, groups: int = 3, scale: int = 2
    ) -> bytes:
        """PNG: `groups` to a row, in each the generated image and then its neighbours."""
        pairs = torch.cat([image_MHWC[:, None], train_NHWC[self.index_MJ]], 1)
        return grid(pairs.flatten(0, 1), groups * pairs.shape[1], scale, group=pairs.shape[1])


def nearest_neighbours(
    image_MHWC: Tensor, train_NHWC: ImageRows, extractor: Extractor, *, count: int = 3
) -> NearestNeighbours:
    """uint8 both; distances are Euclidean in the extractor's features."""
    return among(extractor(image_MHWC)[0], extractor(train_NHWC)[0], count)


def among(query_MF: Tensor, data_NF: Tensor, count: int = 3) -> NearestNeighbours:
    """Of features at hand."""
    index_MJ, distance_MJ = nearest(query_MF, data_NF, count)
    return NearestNeighbours(index_MJ.cpu(), distance_MJ.cpu())
