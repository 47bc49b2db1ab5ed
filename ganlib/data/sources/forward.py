"""Rows of a large file from front to back: a compressed one is never whole in memory.

N images, H W pixels, C channels.
"""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.errors import DataError

BROKEN = (OSError, EOFError, ValueError, KeyError, zlib.error, zipfile.BadZipFile)


class Forward:
    """Bytes [start, stop) after `offset` of what `opener` opens; asked for in rising order."""

    def __init__(self, path: Path, opener: Callable[[], Any], offset: int) -> None:
        self.path = path
        self.opener = opener
        self.offset = offset
        self._file: Any = None

    def read(self, start: int, stop: int) -> bytes:
        """Raises DataError naming the file if it cannot be read that far."""
        try:
            if self._file is None:
                self._file = self.opener()
            self._file.seek(self.offset + start)
            data = bytes(self._file.read(stop - start))
        except BROKEN as error:
            raise broken(self.path, error) from None
        if len(data) < stop - start:
            raise broken(self.path, f"it ends after {self.offset + start + len(data)} bytes")
        return data

    def close(self) -> None:
        """The next read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def open_plain_or_gz(path: Path) -> Any:
    """The file's content, decompressed while it is read."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def stamp(*paths: Path) -> str:
    """Changes when one of the files does."""
    facts = [path.stat() for path in paths]
    return ",".join(f"{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}" for s in facts)


def broken(path: Path, why: object) -> DataError:
    return DataError(
        f"{path} cannot be read: {why}", where=str(path), hint="delete it and get it again"
    )


class ArrayFile:
    """An .npy file, or a member of an .npz: shape and dtype at once, rows when asked for.

    Never unpickles: an array of objects is refused.
    """

    def __init__(self, path: Path, member: str | None = None) -> None:
        self.path = path
        self.member = member
        self.title = f"{path}[{member}]" if member else str(path)
        try:
            with self._open() as file:
                major, _ = np.lib.format.read_magic(file)
                read = (
                    np.lib.format.read_array_header_1_0
                    if major == 1
                    else np.lib.format.read_array_header_2_0
                )
                self.shape, fortran, self.dtype = read(file)
                self.offset = file.tell()
                there = self._size() - self.offset
        except KeyError:
            raise DataError(
                f"{path} has no member {member!r}",
                where=str(path),
                hint=f"it holds: {', '.join(_members(path)) or 'nothing'}",
            ) from None
        except BROKEN as error:
            raise broken(path, error) from None
        if fortran or self.dtype.hasobject:
            kind = "objects" if self.dtype.hasobject else "columns first (Fortran order)"
            raise DataError(f"{self.title} holds {kind}", where=str(path))
        claimed = math.prod(self.shape) * self.dtype.itemsize
        if claimed > there:  # before room is taken for it
            raise broken(path, f"it ends after {there:,} of the {claimed:,} bytes it claims")
        self._bytes = Forward(path, self._open, self.offset)

    def _size(self) -> int:
        if self.member is None:
            return self.path.stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(f"{self.member}.npy").file_size

    def _open(self) -> Any:
        if self.member is None:
            return self.path.open("rb")
        return zipfile.ZipFile(self.path).open(f"{self.member}.npy")

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows [start, stop) of the first axis."""
        width = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        data = self._bytes.read(start * width, stop * width)
        if stop == self.shape[0]:
            self._bytes.close()
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def all(self) -> NDArray[Any]:
        """Everything; for labels and the like."""
        return self.rows(0, self.shape[0])


def _members(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]
