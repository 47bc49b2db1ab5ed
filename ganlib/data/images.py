"""One split for training: all of it in memory, or left in shards and read row by row.

Both are looked at in the same way, `images.image_NHWC[index_N]`, and give the same bytes.

N images of the split, B rows that are wanted, S shards, H W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from ganlib.data.measure import DIGEST_BYTES, digests
from ganlib.errors import Damaged

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DIGEST = np.dtype(f"V{DIGEST_BYTES}")


class ImageRows(Protocol):
    """uint8 images that can be picked like a tensor's rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)"""

    def __len__(self) -> int: ...

    def __getitem__(self, wanted: Any, /) -> Tensor: ...


@dataclass(frozen=True)
class Images:
    """One split in memory: image_NHWC uint8, label_N int64.

    `label_N` lies on the device that batches are wanted on, and so do the images if they fit there;
    if not, they are in the CPU's memory.
    """

    image_NHWC: Tensor
    label_N: Tensor

    def __len__(self) -> int:
        return len(self.label_N)

    @property
    def in_memory(self) -> bool:
        """In that of the device, so that nothing is gained by preparing a batch ahead."""
        return self.image_NHWC.device == self.label_N.device

    def batch(self, index_B: Tensor) -> tuple[Tensor, Tensor]:
        """image_BHWC and label_B of some images, where the labels are."""
        device = self.label_N.device
        image_BHWC = self.image_NHWC[sent(index_B, self.image_NHWC.device)]
        return sent(image_BHWC, device), self.label_N[sent(index_B, device)]


@dataclass(frozen=True)
class StoredImages:
    """One split left where it is: labels in memory, images read when they are asked for.

    `label_N` lies on the device that batches are wanted on.
    """

    image_NHWC: StoredRows
    label_N: Tensor

    def __len__(self) -> int:
        return len(self.label_N)

    @property
    def in_memory(self) -> bool:
        return False

    def batch(self, index_B: Tensor) -> tuple[Tensor, Tensor]:
        """image_BHWC and label_B of some images, where the labels are.

        Raises Damaged naming a shard, StorageError for a server that does not answer.
        """
        device = self.label_N.device
        return sent(self.image_NHWC[index_B], device), self.label_N[sent(index_B, device)]


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On `device`; to a GPU from pinned memory, so that the copy goes on while it computes."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Shelf(Protocol):
    """Shards by number, wherever they are."""

    def addresses(self, width: int) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Of each shard, offset_R and digest_R of its images of `width` bytes."""

    def names(self) -> Sequence[str]:
        """What each is called in an error: a path or a URI."""

    def read(self, shard_B: NDArray[Any], offset_B: NDArray[Any], byte_BX: NDArray[Any]) -> None:
        """Fill each row of byte_BX from its offset in its shard.

        Raises Damaged naming a shard that is missing or too short, StorageError if none answers.
        """

    def renew(self, number: int) -> bool:
        """Have a shard again from where it comes; false if it is as good as can be had."""

    @property
    def mend(self) -> str:
        """What its user does about a damaged shard."""


@dataclass(frozen=True)
class Places:
    """Where each image lies, and the digest of its pixels."""

    shard_N: NDArray[np.int32]
    offset_N: NDArray[np.int64]
    digest_N: NDArray[Any]

    def pick(self, chosen: NDArray[Any]) -> Places:
        return Places(self.shard_N[chosen], self.offset_N[chosen], self.digest_N[chosen])


class StoredRows:
    """image_NHWC whose rows are read when picked; each is checked against its digest."""

    def __init__(self, shelf: Shelf, places: Places, pixels: tuple[int, int, int]) -> None:
        self.shelf, self.places, self.pixels = shelf, places, pixels

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.pixels)

    def __len__(self) -> int:
        return len(self.places.shard_N)

    @overload
    def __getitem__(self, wanted: Tensor) -> Tensor: ...
    @overload
    def __getitem__(self, wanted: slice) -> Tensor: ...
    def __getitem__(self, wanted: Tensor | slice) -> Tensor:
        """image_BHWC of an int64 index of any shape, or of a slice."""
        import torch

        if isinstance(wanted, slice):
            wanted = torch.arange(*wanted.indices(len(self)))
        chosen = self.places.pick(wanted.reshape(-1).cpu().numpy())
        byte_BX = np.empty((wanted.numel(), int(np.prod(self.pixels))), np.uint8)
        self.shelf.read(chosen.shard_N, chosen.offset_N, byte_BX)
        wrong = _wrong(byte_BX, chosen)
        renewed = [self.shelf.renew(number) for number in np.unique(chosen.shard_N[wrong]).tolist()]
        if any(renewed):
            self.shelf.read(chosen.shard_N, chosen.offset_N, byte_BX)
            wrong = _wrong(byte_BX, chosen)
        if len(wrong):
            raise self._damaged(int(chosen.shard_N[wrong[0]]), int(chosen.offset_N[wrong[0]]))
        return torch.from_numpy(byte_BX).reshape(*wanted.shape, *self.pixels)

    def _damaged(self, number: int, offset: int) -> Damaged:
        name = self.shelf.names()[number]
        return Damaged(
            f"the shard {name} is damaged: the image at byte {offset} is not the one that was "
            "prepared",
            where=name,
            hint=self.shelf.mend,
        )


def _wrong(byte_BX: NDArray[np.uint8], chosen: Places) -> NDArray[np.int64]:
    """Rows that are not what was prepared."""
    return np.flatnonzero(digests(byte_BX) != chosen.digest_N)
