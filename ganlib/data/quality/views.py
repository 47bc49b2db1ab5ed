"""All images of a prepared set as one: rows across splits, with what each is called.

N images of the whole set, B rows asked for, H W pixels, C channels, S side in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nn
from numpy.typing import NDArray
from torch import Tensor

from ganlib.data.blocks import SPLITS
from ganlib.data.dataset import Dataset
from ganlib.data.duplicates import exact_groups
from ganlib.data.images import ImageRows

GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Joined:
    """Several splits' rows one after the other, picked like one's."""

    parts: tuple[ImageRows, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.parts[0].shape[1:])

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, wanted: Any) -> Tensor:
        """image_BHWC of a slice or of an int64 index (B,)."""
        if isinstance(wanted, slice):
            wanted = torch.arange(*wanted.indices(len(self)))
        out_BHWC = torch.empty((len(wanted), *self.shape[1:]), dtype=torch.uint8)
        first = 0
        for part in self.parts:
            mine = ((wanted >= first) & (wanted < first + len(part))).nonzero()[:, 0]
            if len(mine):
                out_BHWC[mine] = part[wanted[mine] - first]
            first += len(part)
        return out_BHWC


@dataclass(frozen=True)
class View:
    """`image_NHWC` is read from the shards when it is picked; all else is in memory.

    `split_N` are indices into SPLITS, `files` are as the source calls its images.
    """

    image_NHWC: ImageRows
    label_N: Tensor
    split_N: Tensor
    digest_N: NDArray[Any]
    files: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> View:
        """Raises Damaged where the set's shards are not what was prepared."""
        stored = [dataset.stored(split) for split in SPLITS]
        split_N = torch.cat([torch.full((len(part),), i) for i, part in enumerate(stored)])
        return cls(
            Joined(tuple(part.image_NHWC for part in stored)),
            torch.cat([part.label_N for part in stored]),
            split_N,
            np.concatenate([part.image_NHWC.places.digest_N for part in stored]),
            tuple(name for split in SPLITS for name in dataset.files(split)),
            dataset.classes,
        )

    def __len__(self) -> int:
        return len(self.label_N)

    @property
    def size(self) -> int:
        return int(self.image_NHWC.shape[1])

    def split(self, row: int) -> str:
        return str(SPLITS[int(self.split_N[row])])

    def class_of(self, row: int) -> str:
        """Empty where there are no classes."""
        return self.classes[int(self.label_N[row])] if len(self.classes) > 1 else ""

    def grey(self, row_B: Tensor, side: int) -> Tensor:
        """Luma of some rows in 0..255, as (B, S, S) float32."""
        x_BCHW = self.image_NHWC[row_B].permute(0, 3, 1, 2).float()
        if x_BCHW.shape[1] == 3:
            x_BCHW = (x_BCHW * torch.tensor(GREY)[:, None, None]).sum(1, keepdim=True)
        if x_BCHW.shape[2] != side:
            x_BCHW = nn.interpolate(x_BCHW, (side, side), mode="area")
        return x_BCHW[:, 0]

    def exact(self) -> list[list[int]]:
        """Groups of rows whose prepared pixels are the same."""
        return [group.tolist() for group in exact_groups(self.digest_N)]
