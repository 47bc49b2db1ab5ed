"""Images of any source into shards, decoding only what no shard holds yet.

Whatever was done is kept: a preparation that was killed, and one that finds more files than the
last, both go on from the shards that are there. What comes out depends on the images and settings
alone, not on the number of workers, the order of events or how often it was interrupted.

N images of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from ganlib.config import DataConfig, Unlabelled, fingerprint
from ganlib.data import shards, sources
from ganlib.data.blocks import Block, OpenSource, Pixels
from ganlib.data.catalogue import Catalogue
from ganlib.data.dataset import Dataset
from ganlib.data.decode import Shape, fit_pixels
from ganlib.data.measure import Measured, measure
from ganlib.data.pool import DecodingPool
from ganlib.data.publish import Publisher, Rows
from ganlib.data.shards import Layout, ShardWriter
from ganlib.data.sources import Surroundings
from ganlib.errors import DataError
from ganlib.storage import holding

BLOCK_BYTES = 4 << 20
Progress = Callable[[str, int, int], None]


def prepare(
    config: DataConfig,
    root: Path,
    *,
    search: Sequence[Path] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    offline: bool = False,
) -> Dataset:
    """Prepare what `config` names in the folder `root`; a finished preparation answers in no time.

    `search` are folders where a named set may lie; it is downloaded to `root`/downloads unless
    `offline`. `workers` processes decode (none: one per usable core). `progress` is told what is
    being done, how much of it is done, and how much there is. Raises DataError for images that
    cannot be used and StorageError for a disk that cannot be written.
    """
    tell = progress or (lambda what, done, total: None)
    root = Path(root)
    around = Surroundings(tuple(map(Path, search)), root / "downloads", offline, tell)
    with holding(root / "prepare.lock", "preparing", wait=-1, on_wait=lambda who: tell(who, 0, 0)):
        # Opening may download, and two writers of one file would spoil it.
        return _prepare(config, root, _open(config, around), workers, tell)


def source_state(config: DataConfig, search: Sequence[Path] = ()) -> str:
    """A cheap fingerprint of what the source holds now: names, sizes and times, not contents.

    A published set is known by its checksums. Raises DataError where `prepare` would for a source
    that is not there.
    """
    return sources.state(config.source, search)


def _open(config: DataConfig, around: Surroundings) -> OpenSource:
    source = sources.build(config.source, around)
    if len(source.classes) < 2 and not isinstance(config.source, Unlabelled):
        raise DataError(
            f"there is only one class ({', '.join(source.classes)}); at least two are needed, "
            "since a classifier judges the images",
            where=config.source.kind,
            hint="put images of a second class into a folder of their own, or all images into one "
            "folder, whose recipe is unlabelled",
        )
    return source


def _prepare(
    config: DataConfig, root: Path, source: OpenSource, workers: int | None, tell: Progress
) -> Dataset:
    shape = Shape(config.size, config.channels, config.fit, config.max_pixels)
    decoding = fingerprint("decoding", 1, vars(shape), PIL.__version__)[:12]
    folder = root / "shards"
    shards.recover(folder, decoding)
    known = Catalogue(folder, decoding)
    writer = ShardWriter(
        folder,
        Layout(decoding, config.size, config.channels),
        source.classes,
        rows_per_shard=config.shard_images,
        first=len(known.shards),
    )
    parts: list[tuple[NDArray[Any], ...]] = []
    done = 0
    with DecodingPool(shape, workers) as pool:
        for block, shard_N, row_N, new_N, measured in _measured(source, known, shape, pool):
            if measured is not None:
                shard_N[new_N], row_N[new_N] = writer.append(block, new_N, measured)
            given_N = np.full(len(row_N), block.split, np.int8)
            parts.append((shard_N, row_N, block.label_N, given_N))
            done += len(row_N)
            tell("preparing", done, source.count)
    writer.close()
    if not parts:
        raise DataError("the source holds no images", where=config.source.kind)
    rows = Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    everything = known.shards + writer.shards
    name = Publisher(root, config, source.classes, everything).publish(rows, source.notes)
    return Dataset.open(root, name)


Step = tuple[Block, NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], Measured | None]


def _measured(
    source: OpenSource, known: Catalogue, shape: Shape, pool: DecodingPool
) -> Iterator[Step]:
    """Every block in order, with where its images lie and, measured, those that lie nowhere."""
    limit = max(16, min(256, BLOCK_BYTES // shape.bytes))

    def located() -> Iterator[tuple[Any, list[str | bytes]]]:
        for block in source.blocks(limit):
            shard_N, row_N = known.find(block.key_N)
            new_N = np.flatnonzero(shard_N < 0)
            files = [] if isinstance(block.payload, Pixels) else block.payload.pick(new_N)
            yield (block, shard_N, row_N, new_N), files

    for (block, shard_N, row_N, new_N), decoded in pool.map(located()):
        measured = decoded
        if isinstance(block.payload, Pixels) and len(new_N):
            measured = measure(fit_pixels(block.payload.read(new_N), shape))
        yield block, shard_N, row_N, new_N, measured
