"""Shards: immutable Arrow files of prepared images, each named by the hash of its own bytes.

A shard is written under a passing name, a record batch at a time, and gets its own when complete. A
process that dies leaves the batches it wrote, and `recover` makes a shard of them.

N images; columns: image (H*W*C bytes), label, source (the image's name), key, digest, hash,
moments (2 C numbers), reason (null for a good image; the pixels of a bad one are zeros).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ganlib.data.blocks import Block
from ganlib.data.measure import DIGEST_BYTES, Measured
from ganlib.errors import Damaged
from ganlib.storage import atomic

PARTIAL = "partial-"
TORN = "torn-"
HEAD = 8  # the magic of an Arrow file; a stream follows, then the footer
MEND = "delete it and run `ganlib data prepare --fresh`: only the images in it are decoded again"


@dataclass(frozen=True)
class Shard:
    """`file` is the name within the folder of shards."""

    file: str
    sha256: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Layout:
    """What all rows of a shard share. `decoding` names how images were turned into pixels."""

    decoding: str
    size: int
    channels: int

    def schema(self, classes: tuple[str, ...]) -> pa.Schema:
        return pa.schema(
            [
                ("image", pa.binary(self.size * self.size * self.channels)),
                ("label", pa.int32()),
                ("source", pa.string()),
                ("key", pa.uint64()),
                ("digest", pa.binary(DIGEST_BYTES)),
                ("hash", pa.uint64()),
                ("moments", pa.list_(pa.uint64(), 2 * self.channels)),
                ("reason", pa.string()),
            ],
            metadata={
                "ganlib.format": "1",
                "ganlib.decoding": self.decoding,
                "ganlib.shape": json.dumps([self.size, self.size, self.channels]),
                "ganlib.classes": json.dumps(classes),
            },
        )


class ShardWriter:
    """Appends measured images to one shard after another, `rows_per_shard` in each.

    A shard has a number before it has a name: `shards[number - first]` once it is closed.
    """

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        classes: tuple[str, ...],
        *,
        rows_per_shard: int,
        first: int,
    ) -> None:
        self.folder = folder
        self.layout = layout
        self.schema = layout.schema(classes)
        self.rows_per_shard = rows_per_shard
        self.first = first
        self.shards: list[Shard] = []
        self._open: _Growing | None = None

    def append(self, block: Block, rows_N: NDArray[np.int64], measured: Measured) -> Any:
        """Write rows `rows_N` of `block`; gives where each went: (shard_N, row_N) int32."""
        batch = _batch(self.schema, block, rows_N, measured)
        shard_N = np.empty(len(rows_N), np.int32)
        row_N = np.empty(len(rows_N), np.int32)
        done = 0
        while done < len(rows_N):
            if self._open is None:
                self._open = _Growing(self.folder, self.layout.decoding, self.schema)
            start = self._open.rows
            take = min(self.rows_per_shard - start, len(rows_N) - done)
            self._open.write(batch.slice(done, take))
            shard_N[done : done + take] = self.first + len(self.shards)
            row_N[done : done + take] = np.arange(start, start + take)
            done += take
            if self._open.rows >= self.rows_per_shard:
                self.close()
        return shard_N, row_N

    def close(self) -> None:
        """Give the shard being written its name."""
        if self._open is not None:
            growing, self._open = self._open, None
            self.shards.append(growing.finish())


class _Growing:
    """One shard on its way; every batch reaches the system before `write` returns."""

    def __init__(self, folder: Path, decoding: str, schema: pa.Schema) -> None:
        self.path = folder / f"{PARTIAL}{decoding}-{os.getpid()}.arrow"
        self.rows = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.sink = _HashingFile(self.path)
            self.writer = pa.ipc.new_file(pa.PythonFile(self.sink, mode="w"), schema)
        except OSError as error:
            raise atomic.explain(error, self.path) from error
        self.decoding = decoding

    def write(self, batch: pa.RecordBatch) -> None:
        try:
            self.writer.write_batch(batch)
        except OSError as error:
            raise atomic.explain(error, self.path) from error
        self.rows += batch.num_rows

    def finish(self) -> Shard:
        try:
            self.writer.close()
            os.fsync(self.sink.file.fileno())
            size = self.sink.file.tell()
            self.sink.file.close()
            sha256 = self.sink.sha256.hexdigest()
            name = f"{self.decoding}-{sha256[:32]}.arrow"
            os.replace(self.path, self.path.parent / name)
        except OSError as error:
            raise atomic.explain(error, self.path) from error
        return Shard(name, sha256, self.rows, size)


class _HashingFile:
    """An unbuffered file that knows the hash of what went through it."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb", buffering=0)
        self.sha256 = hashlib.sha256()
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.sha256.update(view)
        done = 0
        while done < view.nbytes:
            done += self.file.write(view[done:])
        return done

    def tell(self) -> int:
        return self.file.tell()

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.closed = True


def _batch(
    schema: pa.Schema, block: Block, rows_N: NDArray[np.int64], measured: Measured
) -> pa.RecordBatch:
    count = len(rows_N)

    def fixed(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
        data = np.ascontiguousarray(values)
        return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(data)])

    return pa.record_batch(
        [
            fixed(measured.image_NHWC, schema.field("image").type),
            pa.array(block.label_N[rows_N]),
            pa.array([printable(block.names[row]) for row in rows_N], pa.string()),
            pa.array(block.key_N[rows_N]),
            fixed(measured.digest_N, schema.field("digest").type),
            pa.array(measured.hash_N),
            pa.FixedSizeListArray.from_arrays(
                pa.array(measured.moment_NM.reshape(-1)), measured.moment_NM.shape[1]
            ),
            pa.array(measured.reasons, pa.string()),
        ],
        schema=schema,
    )


def printable(name: str) -> str:
    """A file's name as text, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_batches(path: Path, *, mapped: bool = True) -> Iterator[pa.RecordBatch]:
    """The record batches of a complete shard, or Damaged.

    Mapped, columns that are not looked at cost nothing; not mapped, a batch is in memory at a time.
    """
    opener = pa.memory_map if mapped else pa.OSFile
    try:
        with opener(str(path)) as source, pa.ipc.open_file(source) as reader:
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
    except FileNotFoundError:
        raise Damaged(f"the shard {path} is missing", where=str(path), hint=MEND) from None
    except (pa.ArrowInvalid, OSError) as error:
        text = " ".join(str(error).split())
        raise Damaged(f"the shard {path} is damaged: {text}", where=str(path), hint=MEND) from None


def pixels(batch: pa.RecordBatch, size: int, channels: int) -> NDArray[np.uint8]:
    """image_NHWC of a batch, without copying."""
    column = batch.column(batch.schema.get_field_index("image"))
    width = size * size * channels
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    start = column.offset * width
    return flat[start : start + len(column) * width].reshape(-1, size, size, channels)


def verify(path: Path, shard: Shard) -> None:
    """Raise Damaged unless the file's bytes are those that were written."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(1 << 20):
                digest.update(data)
    except FileNotFoundError:
        raise Damaged(f"the shard {path} is missing", where=str(path), hint=MEND) from None
    except OSError as error:
        raise Damaged(
            f"cannot read the shard {path}: {error.strerror}", where=str(path), hint=MEND
        ) from None
    if digest.hexdigest() != shard.sha256:
        raise Damaged(
            f"the shard {path} is damaged: its checksum is not the one in the manifest",
            where=str(path),
            hint=MEND,
        )


def describe(path: Path, rows: int) -> Shard:
    """A complete shard found in the folder; its name carries half of its checksum."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return Shard(path.name, digest.hexdigest(), rows, path.stat().st_size)


def recover(folder: Path, decoding: str) -> None:
    """Turn what an interrupted preparation left behind into shards; what is torn is dropped."""
    for path in sorted(folder.glob(f"{PARTIAL}{decoding}-*.arrow")):
        os.replace(path, path.with_name(f"{TORN}{path.name}"))
    for path in sorted(folder.glob(f"{TORN}{PARTIAL}{decoding}-*.arrow")):
        growing: _Growing | None = None
        for batch in _torn_batches(path):
            growing = growing or _Growing(folder, decoding, batch.schema)
            growing.write(batch)
        if growing is not None:
            growing.finish()
        path.unlink(missing_ok=True)


def _torn_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The whole batches at the head of an unfinished file whose pixels match their digests."""
    with pa.OSFile(str(path)) as source:
        try:
            source.seek(HEAD)
            reader = pa.ipc.open_stream(source)
            while _sound(batch := reader.read_next_batch()):
                yield batch
        except (pa.ArrowInvalid, OSError, StopIteration):
            return


def _sound(batch: pa.RecordBatch) -> bool:
    images = batch.column(0)
    digests = batch.column(batch.schema.get_field_index("digest"))
    pairs = zip(images, digests, strict=True)
    return all(
        hashlib.blake2b(image.as_buffer(), digest_size=DIGEST_BYTES).digest() == digest.as_py()
        for image, digest in pairs
    )
