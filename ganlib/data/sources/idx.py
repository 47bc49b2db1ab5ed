"""MNIST's idx format: a big-endian header, then bytes (LeCun's page describes it).

N images, H W pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganlib.data.blocks import SPLITS, ArrayPart, Block, Notes
from ganlib.data.publishers import NAMES, Published
from ganlib.data.sources.forward import BROKEN, Forward, broken, open_plain_or_gz, stamp
from ganlib.errors import DataError

MAGIC_IMAGES = 0x803
MAGIC_LABELS = 0x801
Four = tuple[Path, Path, Path, Path]


def find_four(folder: Path) -> Four | None:
    """The four files in `folder`, raw or .gz, whatever stands between name and idx."""
    found = []
    for name in NAMES:
        spellings = (name, name.replace("-idx", ".idx"))
        options = [folder / f"{s}{end}" for end in ("", ".gz") for s in spellings]
        there = [path for path in options if path.is_file()]
        if not there:
            return None
        found.append(there[0])
    return found[0], found[1], found[2], found[3]


class IdxSource:
    """Train and test; `published` are the checksums the decompressed files must have, if known."""

    def __init__(
        self,
        paths: Four,
        classes: tuple[str, ...] | None = None,
        published: tuple[Published, ...] | None = None,
    ) -> None:
        self.paths = paths
        self.stamp = stamp(*paths)
        checks = published or (None,) * 4
        self.train = _Images(paths[0], checks[0])
        self.test = _Images(paths[2], checks[2])
        self.train_labels = _labels(paths[1], self.train, checks[1])
        self.test_labels = _labels(paths[3], self.test, checks[3])
        top = 1 + max(int(self.train_labels.max()), int(self.test_labels.max()))
        self.classes = classes or tuple(str(label) for label in range(top))
        if top > len(self.classes):
            raise DataError(f"{paths[1]} holds label {top - 1}", where=str(paths[1]))
        self.notes = Notes()

    @property
    def count(self) -> int:
        return len(self.train_labels) + len(self.test_labels)

    def blocks(self, size: int) -> Iterator[Block]:
        for images, labels, split in (
            (self.train, self.train_labels, "train"),
            (self.test, self.test_labels, "test"),
        ):
            part = ArrayPart(split, SPLITS.index(split), labels, images.read)
            yield from part.blocks(size, str(self.paths[0].resolve()), self.stamp)


class _Images:
    """An images file, read forwards a piece at a time; verified before the first piece."""

    def __init__(self, path: Path, published: Published | None) -> None:
        self.path = path
        self.published = published
        header = np.frombuffer(_read(path, 0, 16), ">u4")
        if len(header) < 4 or header[0] != MAGIC_IMAGES:
            raise DataError(f"{path} is not an idx file of images", where=str(path))
        self.count, self.height, self.width = (int(value) for value in header[1:])
        self._bytes = Forward(path, lambda: open_plain_or_gz(path), 16)

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """image_NHWC of [start, stop); raises DataError if the file ends before."""
        if self.published is not None:
            _check(self.path, self.published)
            self.published = None
        area = self.height * self.width
        data = self._bytes.read(start * area, stop * area)
        if stop == self.count:
            self._bytes.close()
        return np.frombuffer(data, np.uint8).reshape(-1, self.height, self.width, 1)


def _labels(path: Path, images: _Images, published: Published | None) -> NDArray[np.uint8]:
    if published is not None:
        _check(path, published)
    data = _read(path, 0, 8 + images.count + 1)
    header = np.frombuffer(data[:8], ">u4")
    if len(header) < 2 or header[0] != MAGIC_LABELS:
        raise DataError(f"{path} is not an idx file of labels", where=str(path))
    if header[1] != images.count or len(data) != 8 + images.count:
        raise DataError(
            f"{path} holds {len(data) - 8} labels, {images.path} {images.count} images",
            where=str(path),
        )
    if not images.count:
        raise DataError(f"{images.path} holds no images", where=str(images.path))
    return np.frombuffer(data[8:], np.uint8)


def _read(path: Path, start: int, count: int) -> bytes:
    try:
        with open_plain_or_gz(path) as file:
            file.seek(start)
            return bytes(file.read(count))
    except BROKEN as error:
        raise broken(path, error) from None


def _check(path: Path, published: Published) -> None:
    digest = hashlib.sha256()
    try:
        with open_plain_or_gz(path) as file:
            while data := file.read(1 << 20):
                digest.update(data)
    except BROKEN as error:
        raise broken(path, error) from None
    if digest.hexdigest() != published.sha256:
        raise DataError(
            f"{path} is not the published {published.name}: the sha256 of its content is "
            f"{digest.hexdigest()}, not {published.sha256}",
            where=str(path),
            hint="delete it to have it downloaded, or use data.source.path for a set of your own",
        )
