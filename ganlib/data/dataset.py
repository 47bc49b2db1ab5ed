"""A prepared set: a manifest, an index, and shards that other sets may share.

N images of a split, H W pixels, C channels, K classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ganlib.config import canonical_json
from ganlib.data import shards
from ganlib.data.blocks import SPLITS
from ganlib.data.shards import Shard
from ganlib.errors import Damaged, NotFound
from ganlib.storage import atomic

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor

FORMAT = 1
MEND = "run `ganlib data prepare --fresh` to write it again; nothing is decoded twice"


@dataclass(frozen=True)
class Images:
    """One split in memory: image_NHWC uint8, label_N int64."""

    image_NHWC: Tensor
    label_N: Tensor

    def __len__(self) -> int:
        return len(self.label_N)


@dataclass(frozen=True)
class Dataset:
    """`open` is the way to get one. Counts are by split; mean and std are of train, in 0..1."""

    folder: Path
    fingerprint: str
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, fingerprint: str) -> Dataset:
        """Raises NotFound when it was never prepared here, Damaged naming a file that is not well.

        Shards are checked for being there and whole; their checksums are checked by `load`.
        """
        path = manifest_path(Path(folder), fingerprint)
        if not path.exists():
            raise NotFound(
                f"there is no data set {fingerprint} in {folder}",
                where=str(path),
                hint="run `ganlib data prepare`",
            )
        dataset = cls(Path(folder), fingerprint, read_manifest(path))
        for shard in dataset.shards:
            file = dataset.folder / "shards" / shard.file
            size = file.stat().st_size if file.exists() else None
            if size != shard.bytes:
                state = "missing" if size is None else f"{size} bytes long, not {shard.bytes}"
                raise Damaged(f"the shard {file} is {state}", where=str(file), hint=shards.MEND)
        return dataset

    @property
    def size(self) -> int:
        return int(self.manifest["size"])

    @property
    def channels(self) -> int:
        return int(self.manifest["channels"])

    @property
    def fit(self) -> str:
        """How images that are not square were made so: crop or pad."""
        return str(self.manifest["settings"]["fit"])

    @property
    def duplicate_counts(self) -> dict[str, dict[str, int]]:
        """By kind (exact, near): groups, images, and groups across_splits and across_classes."""
        found = self.manifest["duplicates"]
        return {kind: dict(found[kind]) for kind in ("exact", "near")}

    @property
    def ignored(self) -> dict[str, int]:
        """Files passed over as no images, by their ending."""
        return dict(self.manifest["ignored"])

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.manifest["classes"])

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.manifest["counts"])

    @property
    def class_counts(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(counts) for name, counts in self.manifest["class_counts"].items()}

    @property
    def mean(self) -> tuple[float, ...]:
        return tuple(self.manifest["mean"])

    @property
    def std(self) -> tuple[float, ...]:
        return tuple(self.manifest["std"])

    @property
    def shards(self) -> tuple[Shard, ...]:
        return tuple(Shard(**entry) for entry in self.manifest["shards"])

    def load(self, split: str) -> Images:
        """All images of "train", "validation" or "test", in the source's order.

        Raises NotFound for another name, Damaged naming a shard whose bytes have changed.
        """
        import torch

        if split not in SPLITS:
            raise NotFound(
                f"there is no split {split!r}", where=split, hint=f"splits: {', '.join(SPLITS)}"
            )
        index = self._index()
        chosen = index["split"] == SPLITS.index(split)
        shard_N, row_N = index["shard"][chosen], index["row"][chosen]
        image_NHWC = np.empty((len(row_N), self.size, self.size, self.channels), np.uint8)
        for number in np.unique(shard_N):
            shard = self.shards[number]
            path = self.folder / "shards" / shard.file
            shards.verify(path, shard)
            places = np.flatnonzero(shard_N == number)
            copy_rows(path, row_N[places], image_NHWC, places)
        label_N = index["label"][chosen].astype(np.int64)
        return Images(torch.from_numpy(image_NHWC), torch.from_numpy(label_N))

    def skipped(self) -> DataFrame:
        """Columns file, reason: what was not used, and why."""
        return self._table("skipped")

    def duplicates(self) -> DataFrame:
        """Columns kind (exact, near), group, file, split, label: images that are there twice."""
        return self._table("duplicates")

    def _table(self, name: str) -> DataFrame:
        import pandas

        path = self.folder / self.manifest[name]["table"]
        if not path.exists():
            raise Damaged(f"{path} is missing", where=str(path), hint=MEND)
        return pandas.read_csv(path, keep_default_na=False, dtype=str)

    def _index(self) -> dict[str, NDArray[Any]]:
        path = self.folder / self.manifest["index"]["file"]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Damaged(
                f"cannot read {path}: {error.strerror}", where=str(path), hint=MEND
            ) from None
        if hashlib.sha256(data).hexdigest() != self.manifest["index"]["sha256"]:
            raise Damaged(
                f"{path} is damaged: its checksum is not the one in the manifest",
                where=str(path),
                hint=MEND,
            )
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        return {name: table[name].to_numpy() for name in table.schema.names}


def copy_rows(
    path: Path,
    row_N: NDArray[Any],
    image_NHWC: NDArray[np.uint8],
    places: NDArray[np.int64],
) -> None:
    """Copy rows `row_N` of a shard to image_NHWC[places]."""
    order = np.argsort(row_N, kind="stable")
    ordered = row_N[order]
    first = 0
    for batch in shards.read_batches(path, mapped=False):
        last = first + batch.num_rows
        low, high = np.searchsorted(ordered, [first, last])
        if high > low:
            _, height, _, channels = image_NHWC.shape
            source = shards.pixels(batch, height, channels)
            image_NHWC[places[order[low:high]]] = source[ordered[low:high] - first]
        first = last


def manifest_path(folder: Path, fingerprint: str) -> Path:
    return folder / f"manifest-{fingerprint}.json"


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """With a checksum of its own, so that a changed digit does not go unseen."""
    content = {**manifest, "format": FORMAT}
    content["checksum"] = _checksum(content)
    atomic.write_json(manifest_path(folder, manifest["fingerprint"]), content)


def read_manifest(path: Path) -> dict[str, Any]:
    """Raises Damaged naming `path`."""
    try:
        content = atomic.read_json(path)
    except Damaged as error:
        raise Damaged(error.message, where=str(path), hint=MEND) from None
    if not isinstance(content, dict) or content.pop("checksum", None) != _checksum(content):
        raise Damaged(f"{path} is damaged: its checksum does not match", where=str(path), hint=MEND)
    if content.get("format") != FORMAT:
        raise Damaged(
            f"{path} has format {content.get('format')}; this ganlib reads {FORMAT}",
            where=str(path),
            hint=MEND,
        )
    return content


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
