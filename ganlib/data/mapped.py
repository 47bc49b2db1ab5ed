"""Shards of a folder, mapped into memory: the system keeps as much of them there as it can.

B rows that are wanted, X bytes of an image.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.data.addresses import mapped, of_path
from ganlib.data.shards import MEND, Shard
from ganlib.errors import Damaged

MAPS = 256  # a map holds a file open, and a process may have 1024 of them


class MappedShards:
    """A Shelf of files. Pages that were read go again whenever the system is short of memory."""

    mend = MEND

    def __init__(self, paths: Sequence[Path], shards: Sequence[Shard]) -> None:
        self.paths, self.shards = list(paths), list(shards)
        self._map = lru_cache(maxsize=MAPS)(self._mapped)

    def names(self) -> Sequence[str]:
        return [str(path) for path in self.paths]

    def addresses(self, width: int) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
        return [of_path(path, width) for path in self.paths]

    def read(self, shard_B: NDArray[Any], offset_B: NDArray[Any], byte_BX: NDArray[Any]) -> None:
        width = byte_BX.shape[1]
        wanted = list(zip(shard_B.tolist(), offset_B.tolist(), strict=True))
        for number, offset in wanted:
            # All that is wanted is asked of the disk before any of it is waited for.
            start = offset - offset % mmap.PAGESIZE
            self._map(number).madvise(mmap.MADV_WILLNEED, start, offset + width - start)
        for row_X, (number, offset) in zip(byte_BX, wanted, strict=True):
            row_X[:] = np.frombuffer(self._map(number), np.uint8, width, offset)

    def renew(self, number: int) -> bool:
        """Never: what is damaged here comes from nowhere else."""
        return False

    def forget(self) -> None:
        """Map files anew, since others may stand in their places."""
        self._map.cache_clear()

    def _mapped(self, number: int) -> mmap.mmap:
        path, shard = self.paths[number], self.shards[number]
        found = mapped(path)
        if len(found) != shard.bytes:
            state = f"{len(found)} bytes long, not {shard.bytes}"
            raise Damaged(f"the shard {path} is {state}", where=str(path), hint=MEND)
        return found
