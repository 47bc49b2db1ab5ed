"""CIFAR-10: the publisher's binary version, or an npz that holds the pictures as JPEG bytes.

Krizhevsky 2009. A record of the binary version is a label and 32 x 32 red, green, blue values. The
npz holds `train_jpeg` (files end to end), `train_offsets` (n + 1), `train_labels`, the same for
test, and `class_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ganlib.config import Cifar10
from ganlib.data.blocks import SPLITS, ArrayPart, Block, Encoded, Notes, keys, spans
from ganlib.data.publishers import CIFAR10
from ganlib.data.sources.forward import ArrayFile, Forward, stamp
from ganlib.errors import DataError

if TYPE_CHECKING:
    from ganlib.data.sources import Surroundings

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
RECORD = 1 + 3 * 32 * 32
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
BINARY = (*TRAIN, "test_batch.bin")
NPZ = "cifar10_jpeg.npz"
PLACES = ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "CIFAR10")


def open_cifar10(source: Cifar10, around: Surroundings) -> BinarySource | JpegSource:
    """Raises DataError saying what to put where when it is not found and cannot be downloaded."""
    found = _find(source, around.search)
    if found is None:
        from ganlib.data.download import obtain_cifar10

        found = obtain_cifar10(around, BINARY)
    return JpegSource(found) if found.suffix == ".npz" else BinarySource(found)


def cifar10_state(source: Cifar10, search: tuple[Path, ...]) -> list[str]:
    """The published archive's checksum, or name, size and time of the user's own files."""
    found = _find(source, search)
    if found is None or (source.path is None and found.is_dir()):
        return [CIFAR10.md5]
    files = [found] if found.is_file() else [found / name for name in BINARY]
    return [str(found.resolve()), stamp(*files)]


def _find(source: Cifar10, search: tuple[Path, ...]) -> Path | None:
    """An npz, or the folder of the binary version; the latter is preferred: it is the original."""
    if source.path is not None:
        path = Path(source.path).expanduser()
        for folder in (path, path / "cifar-10-batches-bin"):
            if has_binary(folder):
                return folder
        for file in (path, path / NPZ):
            if file.is_file() and file.suffix == ".npz":
                return file
        raise DataError(
            f"{path} is neither an npz nor a folder with {BINARY[0]} to {BINARY[-1]}",
            where=str(path),
            hint="check data.source.path",
        )
    folders = [root / place for root in search for place in PLACES]
    binary = [folder for folder in folders if has_binary(folder)]
    packed = [folder / NPZ for folder in folders if (folder / NPZ).is_file()]
    return next(iter(binary + packed), None)


def has_binary(folder: Path) -> bool:
    """All six files are there."""
    return all((folder / name).is_file() for name in BINARY)


class BinarySource:
    """Records are read from the files as they are needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.classes = CLASSES
        self.notes = Notes()
        self.labels = {name: self._labels(folder / name) for name in BINARY}

    @property
    def count(self) -> int:
        return sum(map(len, self.labels.values()))

    def blocks(self, size: int) -> Iterator[Block]:
        for name in BINARY:
            path = self.folder / name
            split = SPLITS.index("train" if name in TRAIN else "test")
            part = ArrayPart(name, split, self.labels[name], _record_reader(path))
            yield from part.blocks(size, str(path.resolve()), stamp(path))

    @staticmethod
    def _labels(path: Path) -> NDArray[np.uint8]:
        length = path.stat().st_size
        if not length or length % RECORD:
            raise DataError(
                f"{path} is {length} bytes long, not a multiple of {RECORD}",
                where=str(path),
                hint="it was cut off; delete it and get it again",
            )
        record_NR = np.memmap(path, np.uint8, mode="r").reshape(-1, RECORD)
        label_N = np.array(record_NR[:, 0])
        if label_N.max() >= len(CLASSES):
            raise DataError(f"{path} holds label {label_N.max()}", where=str(path))
        return label_N


def _record_reader(path: Path) -> Callable[[int, int], NDArray[np.uint8]]:
    def read(start: int, stop: int) -> NDArray[np.uint8]:
        flat = np.fromfile(path, np.uint8, (stop - start) * RECORD, offset=start * RECORD)
        planes_NCHW = flat.reshape(-1, RECORD)[:, 1:].reshape(-1, 3, 32, 32)
        return planes_NCHW.transpose(0, 2, 3, 1)

    return read


class JpegSource:
    """The archive is decompressed while it is read, never whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes = Notes()
        self.classes = tuple(str(name) for name in ArrayFile(path, "class_names").all())
        self.labels = {s: ArrayFile(path, f"{s}_labels").all() for s in ("train", "test")}
        self.offsets = {s: ArrayFile(path, f"{s}_offsets").all() for s in ("train", "test")}
        for split, label_N in self.labels.items():
            offsets = self.offsets[split]
            if len(offsets) != len(label_N) + 1 or (np.diff(offsets) < 0).any():
                raise DataError(f"{path}[{split}_offsets] does not fit its labels", where=str(path))

    @property
    def count(self) -> int:
        return sum(map(len, self.labels.values()))

    def blocks(self, size: int) -> Iterator[Block]:
        place, mark = str(self.path.resolve()), stamp(self.path)
        for split, label_N in self.labels.items():
            packed = ArrayFile(self.path, f"{split}_jpeg")
            content = Forward(self.path, packed._open, packed.offset)
            for start, stop in spans(len(label_N), size):
                names = [f"{split}/{i}" for i in range(start, stop)]
                yield Block(
                    names=names,
                    key_N=keys(place, names, [mark] * len(names)),
                    label_N=label_N[start:stop].astype(np.int32),
                    split=SPLITS.index(split),
                    payload=Encoded(_jpeg_reader(content, self.offsets[split][start : stop + 1])),
                )
            content.close()


def _jpeg_reader(
    content: Forward, offsets: NDArray[np.int64]
) -> Callable[[NDArray[np.int64]], list[bytes]]:
    def read(row_N: NDArray[np.int64]) -> list[bytes]:
        if not len(row_N):
            return []
        base = int(offsets[0])
        data = content.read(base, int(offsets[-1]))
        return [data[offsets[row] - base : offsets[row + 1] - base] for row in row_N]

    return read
