"""Shards that lie in S3: as many as may be are kept here whole, of the rest single images are read.

Training sees its images in an order drawn from all of them, so one batch touches most shards. To
fetch shards whole and drop them again would move a thousand times the bytes that are looked at; a
part that stays and single reads of the rest move each image once an epoch.

B rows that are wanted, X bytes of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ganlib.data.addresses import addresses, of_path
from ganlib.data.mapped import MappedShards
from ganlib.data.shards import Shard
from ganlib.errors import Damaged
from ganlib.storage import Cache, S3Reader
from ganlib.storage.s3 import CONNECTIONS

FETCHERS = 4  # whole shards at a time: enough to fill a line, and few halves on the disk
GAP = 16 << 10  # bytes between two images that are read along rather than asked for again
MEND = "upload it again from the home where the set was prepared"
SPAN = 4 << 20  # bytes asked for at once at most


class RemoteShards:
    """A Shelf in S3 with a part of it in a cache; the part is chosen once, when it is made."""

    mend = MEND

    def __init__(self, reader: S3Reader, shards: Sequence[Shard], cache: Cache) -> None:
        """Fills the cache. Raises Damaged, NotFound and StorageError naming an object."""
        self.reader, self.shards, self.cache = reader, list(shards), cache
        self._here = self._fetch()
        kept = sorted(self._here)
        self._place = {number: place for place, number in enumerate(kept)}
        self._mapped = MappedShards(
            [self._here[number] for number in kept], [self.shards[number] for number in kept]
        )
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="s3")

    @property
    def kept(self) -> int:
        """Shards that lie in the cache."""
        return len(self._place)

    def names(self) -> Sequence[str]:
        """Of the objects: what is damaged in the cache mends itself."""
        return [self.reader.name(_key(shard)) for shard in self.shards]

    def addresses(self, width: int) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
        return list(self._pool.map(partial(self._addresses, width), range(len(self.shards))))

    def read(self, shard_B: NDArray[Any], offset_B: NDArray[Any], byte_BX: NDArray[Any]) -> None:
        here_B = np.isin(shard_B, list(self._place))
        asked = [
            self._pool.submit(self._range, int(shard_B[rows[0]]), rows, offset_B, byte_BX)
            for rows in _spans(np.flatnonzero(~here_B), shard_B, offset_B, byte_BX.shape[1])
        ]
        rows = np.flatnonzero(here_B)
        place_B = np.array([self._place[number] for number in shard_B[rows].tolist()], np.int64)
        found_BX = np.empty((len(rows), byte_BX.shape[1]), np.uint8)
        self._mapped.read(place_B, offset_B[rows], found_BX)
        byte_BX[rows] = found_BX
        for answer in asked:
            answer.result()

    def renew(self, number: int) -> bool:
        """Map a shard of the cache anew, and fetch it again if its bytes have changed.

        Another process may have done so before. False for one that is not kept here, or no longer.
        """
        if number not in self._place:
            return False
        shard = self.shards[number]
        self.cache.drop_damaged(shard.file, shard.sha256)
        there = self._take(number) is not None
        self._mapped.forget()
        return there

    def _fetch(self) -> dict[int, Any]:
        """Paths of what is in the cache already, and of as much more as there is room for."""
        here = {}
        for number, shard in enumerate(self.shards):
            path = self.cache.find(shard.file, shard.bytes)
            if path is not None:
                here[number] = path
        missing = [number for number in range(len(self.shards)) if number not in here]
        with ThreadPoolExecutor(FETCHERS) as pool:
            for number, path in zip(missing, pool.map(self._take, missing), strict=True):
                if path is not None:
                    here[number] = path
        return here

    def _take(self, number: int) -> Any:
        shard = self.shards[number]
        fetch = partial(self.reader.fetch, _key(shard))
        try:
            return self.cache.take(shard.file, shard.bytes, shard.sha256, fetch)
        except Damaged as error:
            raise self._damaged(number, error) from error

    def _addresses(self, width: int, number: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        try:
            if number in self._here:
                return self._addresses_here(width, number)
            shard = self.shards[number]
            name = self.reader.name(_key(shard))
            with pa.PythonFile(_Ranged(self.reader, shard), mode="r") as source:
                return addresses(source, name, width)
        except Damaged as error:
            raise self._damaged(number, error) from error

    def _addresses_here(self, width: int, number: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        try:
            return of_path(self._here[number], width)
        except Damaged:
            if not self.renew(number):
                raise
            return of_path(self._here[number], width)

    def _damaged(self, number: int, error: Damaged) -> Damaged:
        name = self.reader.name(_key(self.shards[number]))
        return Damaged(f"{name} is damaged: {error.message}", where=name, hint=MEND)

    def _range(
        self, number: int, rows: NDArray[Any], offset_B: NDArray[Any], byte_BX: NDArray[Any]
    ) -> None:
        """Rows of one shard that lie close together, in one request."""
        width, key = byte_BX.shape[1], _key(self.shards[number])
        first = int(offset_B[rows[0]])
        length = int(offset_B[rows[-1]]) + width - first
        data = np.frombuffer(self.reader.read_range(key, first, length), np.uint8)
        if len(data) != length:
            name = self.reader.name(key)
            raise Damaged(f"the shard {name} is cut short", where=name, hint=MEND)
        for row in rows.tolist():
            start = int(offset_B[row]) - first
            byte_BX[row] = data[start : start + width]


def _key(shard: Shard) -> str:
    return f"shards/{shard.file}"


def _spans(
    rows: NDArray[Any], shard_B: NDArray[Any], offset_B: NDArray[Any], width: int
) -> list[NDArray[Any]]:
    """The rows in groups of one shard whose images lie close together."""
    if not len(rows):
        return []
    rows = rows[np.lexsort((offset_B[rows], shard_B[rows]))]
    spans: list[list[int]] = []
    for row in rows.tolist():
        if spans:
            first, last = spans[-1][0], spans[-1][-1]
            near = offset_B[row] - offset_B[last] - width <= GAP
            small = offset_B[row] + width - offset_B[first] <= SPAN
            if shard_B[row] == shard_B[last] and near and small:
                spans[-1].append(row)
                continue
        spans.append([row])
    return [np.array(span) for span in spans]


class _Ranged:
    """An object of known size as a file that is read in pieces; what pyarrow asks of one."""

    def __init__(self, reader: S3Reader, shard: Shard) -> None:
        self.reader, self.shard = reader, shard
        self.at = 0
        self.closed = False

    def read(self, count: int = -1) -> bytes:
        left = self.shard.bytes - self.at
        count = left if count < 0 else min(count, left)
        if count <= 0:
            return b""
        data = self.reader.read_range(_key(self.shard), self.at, count)
        self.at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.shard.bytes)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
