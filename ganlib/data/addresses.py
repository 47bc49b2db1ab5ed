"""Where in a shard each image lies, so that one can be read without the others.

R rows of a shard.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ganlib.data.images import DIGEST
from ganlib.data.shards import MEND
from ganlib.errors import Damaged

DIGEST_COLUMN = 4  # the image is column 0: see shards.Layout
TAIL = 10  # an Arrow file ends in the length of its footer and the magic
BLOCK = struct.Struct("<qi4xq")  # a record batch: offset, bytes of metadata, bytes of body
BATCHES = 3  # the field of the footer that lists the record batches


def of_path(path: Path, width: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """offset_R and digest_R of a shard in a folder, of images of `width` bytes, or Damaged."""
    with pa.BufferReader(pa.py_buffer(mapped(path))) as source:
        return addresses(source, str(path), width)


def mapped(path: Path) -> mmap.mmap:
    """The whole shard, with nothing read ahead: what lies beside is not what is wanted next.

    Raises Damaged.
    """
    try:
        with path.open("rb") as file:
            found = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise Damaged(f"the shard {path} is missing", where=str(path), hint=MEND) from None
    except (OSError, ValueError) as error:
        raise Damaged(
            f"cannot read the shard {path}: {error}", where=str(path), hint=MEND
        ) from None
    found.madvise(mmap.MADV_RANDOM)
    return found


def addresses(
    source: pa.NativeFile, name: str, width: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """offset_R and digest_R. Only the footer, the batches' heads and the digests are read.

    The pixels of a record batch are its first column and have no gaps, so they begin where its
    body does; pyarrow does not tell where that is, and the footer does.
    """
    offsets, found = [], []
    try:
        options = pa.ipc.IpcReadOptions(included_fields=[DIGEST_COLUMN])
        with pa.ipc.open_file(source, options=options) as reader:  # knows a whole file
            for number, body in enumerate(_bodies(source)):
                column = reader.get_batch(number).column(0)
                offsets.append(body + width * np.arange(len(column), dtype=np.int64))
                digest_R = np.frombuffer(column.buffers()[1], DIGEST)
                found.append(digest_R[column.offset : column.offset + len(column)].copy())
    except (pa.ArrowInvalid, OSError, struct.error, ValueError) as error:
        text = " ".join(str(error).split())
        raise Damaged(f"the shard {name} is damaged: {text}", where=name, hint=MEND) from None
    return np.concatenate([np.empty(0, np.int64), *offsets]), np.concatenate(
        [np.empty(0, DIGEST), *found]
    )


def _bodies(source: pa.NativeFile) -> list[int]:
    """Where the body of each record batch begins; the footer is a flatbuffer."""
    end = source.size()
    source.seek(end - TAIL)
    (length,) = struct.unpack_from("<i", source.read(4))
    source.seek(end - TAIL - length)
    footer = source.read(length)

    def number(kind: str, at: int) -> int:
        return int(struct.unpack_from(kind, footer, at)[0])

    root = number("<I", 0)
    table = root - number("<i", root)
    field = root + number("<H", table + 4 + 2 * BATCHES)
    vector = field + number("<I", field)
    blocks = [
        BLOCK.unpack_from(footer, vector + 4 + BLOCK.size * i) for i in range(number("<I", vector))
    ]
    return [offset + head for offset, head, _ in blocks]
