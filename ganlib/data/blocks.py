"""What a source gives: blocks of images, still unread, in an order that never depends on chance.

N images, H W pixels, C channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
UNSPLIT = -1


@dataclass(frozen=True)
class Files:
    """Image files, to be decoded by the workers."""

    paths: list[str]

    def pick(self, rows: NDArray[np.int64]) -> list[str | bytes]:
        return [self.paths[row] for row in rows]


@dataclass(frozen=True)
class Encoded:
    """Images as the bytes of files, to be decoded by the workers; `read` gives some of them."""

    read: Callable[[NDArray[np.int64]], list[bytes]]

    def pick(self, rows: NDArray[np.int64]) -> list[str | bytes]:
        return list(self.read(rows))


@dataclass(frozen=True)
class Pixels:
    """Images as arrays; `read` gives image_NHWC uint8 of some of them."""

    read: Callable[[NDArray[np.int64]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Block:
    """Some images: how tables call them, how the catalogue knows them, their labels and split.

    `split` indexes SPLITS, or is UNSPLIT where splits are to be drawn. Two images with one key are
    the same bytes at the same place: a key holds the name and whatever tells that it changed.
    """

    names: list[str]
    key_N: NDArray[np.uint64]
    label_N: NDArray[np.int32]
    split: int
    payload: Files | Encoded | Pixels


class OpenSource(Protocol):
    """Images ready to be read, a block at a time."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""

    @property
    def count(self) -> int:
        """Images in all blocks, good or bad."""

    @property
    def notes(self) -> Notes:
        """What was left out on purpose; complete once the source is open."""

    def blocks(self, size: int) -> Iterator[Block]:
        """Blocks of at most `size` images, each time the same."""


@dataclass(frozen=True)
class Notes:
    """What a source passed over: counts by kind, and (file, reason) for what a user may miss."""

    ignored: dict[str, int] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def keys(place: str, names: Iterable[str], stamps: Iterable[str]) -> NDArray[np.uint64]:
    """64-bit keys of images called `names` at `place` (a folder or file) with change `stamps`."""
    base = hashlib.blake2b(place.encode("utf-8", "surrogateescape"), digest_size=8)
    out = []
    for name, stamp in zip(names, stamps, strict=True):
        one = base.copy()
        one.update(f"\0{name}\0{stamp}".encode("utf-8", "surrogateescape"))
        out.append(one.digest())
    return np.frombuffer(b"".join(out), dtype=np.uint64)


def spans(total: int, size: int) -> Iterator[tuple[int, int]]:
    """[start, stop) pieces of at most `size`."""
    for start in range(0, total, size):
        yield start, min(start + size, total)


@dataclass(frozen=True)
class ArrayPart:
    """One split of a set that is held as arrays: `read(start, stop)` gives image_NHWC uint8."""

    name: str
    split: int
    label_N: NDArray[Any]
    read: Callable[[int, int], NDArray[np.uint8]]

    def blocks(self, size: int, place: str, stamp: str) -> Iterator[Block]:
        for start, stop in spans(len(self.label_N), size):
            names = [f"{self.name}/{i}" for i in range(start, stop)]
            yield Block(
                names=names,
                key_N=keys(place, names, [stamp] * len(names)),
                label_N=self.label_N[start:stop].astype(np.int32),
                split=self.split,
                payload=Pixels(_reader(self.read, start, stop)),
            )


def _reader(
    read: Callable[[int, int], NDArray[np.uint8]], start: int, stop: int
) -> Callable[[NDArray[np.int64]], NDArray[np.uint8]]:
    def rows(row_N: NDArray[np.int64]) -> NDArray[np.uint8]:
        block = read(start, stop)
        return block if len(row_N) == stop - start else block[row_N]

    return rows
