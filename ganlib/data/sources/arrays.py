"""Arrays: an npz, two npy files, or what a user's own function gives.

N images, H W pixels, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.config import Arrays, Custom, canonical_json
from ganlib.config.code import fingerprint_of
from ganlib.config.custom import resolve
from ganlib.data.blocks import SPLITS, UNSPLIT, ArrayPart, Block, Notes
from ganlib.data.sources.forward import ArrayFile, stamp
from ganlib.errors import ConfigError, DataError


@dataclass(frozen=True)
class ArraySource:
    """What a user's own `build` returns: anything that can be sliced, so it may be larger than
    memory (a memmap, an HDF5 set).

    `images` (N, H, W) or (N, H, W, C) uint8, C up to 32; `labels` (N,) integers below
    len(classes); `splits`, if given, (N,) of "train", "validation", "test", in one run each.
    `version` is anything that changes when the images do.
    """

    images: Any
    labels: NDArray[Any]
    classes: tuple[str, ...]
    splits: NDArray[Any] | None = None
    version: str = ""


class SlicedSource:
    """Blocks of what can be sliced."""

    def __init__(
        self,
        read: Callable[[int, int], NDArray[np.uint8]],
        labels: NDArray[Any],
        classes: tuple[str, ...],
        *,
        name: str,
        stamp: str,
        splits: NDArray[Any] | None = None,
    ) -> None:
        self.read = read
        self.labels = labels.astype(np.int32)
        self.classes = classes
        self.name = name
        self.stamp = stamp
        self.runs = _runs(name, splits, len(labels))
        self.notes = Notes()

    @property
    def count(self) -> int:
        return len(self.labels)

    def blocks(self, size: int) -> Iterator[Block]:
        for split, first, last in self.runs:
            part = ArrayPart(
                SPLITS[split] if split != UNSPLIT else "image",
                split,
                self.labels[first:last],
                _shifted(self.read, first),
            )
            yield from part.blocks(size, self.name, self.stamp)


def _shifted(
    read: Callable[[int, int], NDArray[np.uint8]], first: int
) -> Callable[[int, int], NDArray[np.uint8]]:
    return lambda start, stop: read(first + start, first + stop)


def _runs(name: str, splits: NDArray[Any] | None, total: int) -> list[tuple[int, int, int]]:
    """(split, first, last) of each run of images of one split."""
    if splits is None:
        return [(UNSPLIT, 0, total)]
    unknown = sorted({str(s) for s in splits} - set(SPLITS))
    if unknown or len(splits) != total:
        raise DataError(
            f"{name}: splits must be {total} of {', '.join(SPLITS)}"
            + (f", not {unknown[0]}" if unknown else ""),
            where=name,
        )
    codes = np.array([SPLITS.index(str(split)) for split in splits])
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), total]
    runs = [(int(codes[a]), a, b) for a, b in pairwise(edges)]
    if len({split for split, _, _ in runs}) < len(runs):
        raise DataError(f"{name}: the images of a split must follow each other", where=name)
    return runs


def open_arrays(source: Arrays) -> SlicedSource:
    """Raises DataError naming file, member and what is wrong with its shape or type."""
    images, labels = _members(source)
    names = _class_names(Path(source.path).expanduser())
    label_N, classes = _labels(labels.title, labels.all(), names)
    _check_images(images.title, images.shape, images.dtype, len(label_N))

    def read(start: int, stop: int) -> NDArray[np.uint8]:
        return _with_channels(images.rows(start, stop))

    return SlicedSource(
        read, label_N, classes, name=images.title, stamp=stamp(images.path, labels.path)
    )


def arrays_state(source: Arrays) -> list[str]:
    """Names, sizes and times of the files."""
    images, labels = _members(source)
    return [images.title, labels.title, stamp(images.path, labels.path)]


def open_custom(source: Custom) -> SlicedSource:
    """Calls `build(**options)`, which returns an ArraySource.

    Raises ConfigError naming `data.source.build` if it cannot be imported or returns another thing.
    """
    found = _call(source)
    label_N, classes = _labels(source.build, np.asarray(found.labels), tuple(found.classes))
    _check_images(source.build, found.images.shape, found.images.dtype, len(label_N))
    return SlicedSource(
        lambda start, stop: _with_channels(np.asarray(found.images[start:stop])),
        label_N,
        classes,
        name=source.build,
        stamp=canonical_json(_state(source, found)),
        splits=found.splits,
    )


def custom_state(source: Custom) -> list[Any]:
    """Its options, its code and the version it gives; raises what `open_custom` raises."""
    return _state(source, _call(source))


def _state(source: Custom, found: ArraySource) -> list[Any]:
    return [source, fingerprint_of(source.build), found.version]


def _call(source: Custom) -> ArraySource:
    build = resolve(source.build, "data.source.build")
    try:
        found = build(**source.options)
    except TypeError as error:
        raise ConfigError(
            f"{source.build} cannot be called: {error}",
            where="data.source.options",
            hint="it gets the keywords of data.source.options and no others",
        ) from error
    if not isinstance(found, ArraySource):
        raise ConfigError(
            f"{source.build} returned {type(found).__name__}, not an ArraySource",
            where="data.source.build",
            hint="return ganlib.data.sources.arrays.ArraySource(images, labels, classes)",
        )
    return found


def _members(source: Arrays) -> tuple[ArrayFile, ArrayFile]:
    path = Path(source.path).expanduser()
    if not path.exists():
        raise DataError(f"there is no {path}", where=str(path), hint="check data.source.path")
    if path.suffix == ".npz":
        return ArrayFile(path, source.images), ArrayFile(path, source.labels)
    if path.is_dir():
        return _beside(path, source.images), _beside(path, source.labels)
    if path.suffix == ".npy":
        return ArrayFile(path), _beside(path.parent, source.labels)
    raise DataError(
        f"{path} is neither an .npz, an .npy nor a folder of .npy files", where=str(path)
    )


def _beside(folder: Path, name: str) -> ArrayFile:
    path = folder / (name if name.endswith(".npy") else f"{name}.npy")
    if not path.is_file():
        raise DataError(
            f"there is no {path}", where=str(path), hint="check data.source.images and labels"
        )
    return ArrayFile(path)


def _class_names(path: Path) -> tuple[str, ...] | None:
    if path.suffix != ".npz":
        return None
    try:
        return tuple(str(name) for name in ArrayFile(path, "class_names").all())
    except DataError:
        return None


def _labels(
    title: str, labels: NDArray[Any], classes: tuple[str, ...] | None
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Integers as they are, with `classes` or numbers for names; texts are names themselves."""
    if labels.ndim != 1 or not len(labels):
        raise DataError(f"{title} has shape {labels.shape}, not (N,)", where=title)
    if labels.dtype.kind in "US":
        names, label_N = np.unique(labels.astype(str), return_inverse=True)
        return label_N.astype(np.int32), tuple(str(name) for name in names)
    if labels.dtype.kind not in "iub":
        raise DataError(f"{title} is {labels.dtype}, not integers or texts", where=title)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes is not None and high >= len(classes)) or high > 100_000:
        limit = len(classes) - 1 if classes is not None else 100_000
        raise DataError(f"{title} runs from {low} to {high}, not 0 to {limit}", where=title)
    return labels.astype(np.int32), classes or tuple(str(label) for label in range(high + 1))


def _check_images(title: str, shape: tuple[int, ...], dtype: Any, count: int) -> None:
    channels = shape[3] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or channels > 32 or np.dtype(dtype) != np.uint8:
        raise DataError(
            f"{title} is {np.dtype(dtype)} {tuple(shape)}, not uint8 (N, H, W) or (N, H, W, C) "
            "with 1 to 32 channels",
            where=title,
        )
    if shape[0] != count:
        raise DataError(f"{title} holds {shape[0]} images for {count} labels", where=title)
    if 0 in shape:
        raise DataError(f"{title} holds no pixels", where=title)


def _with_channels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[..., None] if image.ndim == 3 else image
