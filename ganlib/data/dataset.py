"""A prepared set: a manifest, an index, and shards that other sets may share.

N images of a split, H W pixels, C channels, K classes.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ganlib.config import canonical_json, fingerprint
from ganlib.data import catalogue, remote, shards
from ganlib.data.blocks import SPLITS, spans
from ganlib.data.images import ImageRows, Images, Places, Shelf, StoredImages, StoredRows
from ganlib.data.mapped import MappedShards
from ganlib.data.remote import RemoteShards
from ganlib.data.shards import Shard
from ganlib.errors import Damaged, NotFound
from ganlib.storage import Cache, S3Reader, atomic, default_cache

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor

FORMAT = 1
FEW = 8  # a split of less than one image in so many is read image by image
PIECE = 4096  # images read at a time where all are wanted
MEND = "run `ganlib data prepare --fresh` to write it again; nothing is decoded twice"


@dataclass(frozen=True)
class Dataset:
    """`open` is the way to get one. Counts are by split; mean and std are of train, in 0..1.

    Of a set that lies elsewhere `folder` holds all but the shards, which `remote` reads.
    """

    folder: Path
    fingerprint: str
    manifest: dict[str, Any]
    remote: RemoteShards | None = None

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

    @classmethod
    def open_copy(cls, uri: str, fingerprint: str, cache_bytes: int) -> Dataset:
        """The set at s3://bucket/prefix, where a copy of a home's data folder lies.

        Fills this machine's cache with up to `cache_bytes` of its shards. Raises NotFound when the
        set is not there, Damaged naming an object, StorageError if the server does not answer.
        """
        reader = S3Reader(uri)
        root = default_cache()
        folder = root / "sets" / fingerprint
        path = manifest_path(folder, fingerprint)
        atomic.write_bytes(path, reader.read(path.name))
        try:
            manifest = read_manifest(path)
        except Damaged as error:
            where = reader.name(path.name)
            raise Damaged(f"{where}: {error.message}", where=where, hint=remote.MEND) from None
        _fetch_index(reader, folder, manifest["index"])
        for kind in ("skipped", "duplicates"):
            name = manifest[kind]["table"]  # of no known checksum, so what lies here may be damaged
            atomic.write_bytes(folder / name, reader.read(name))
        listed = [Shard(**entry) for entry in manifest["shards"]]
        shelf = RemoteShards(reader, listed, Cache(root / "shards", cache_bytes))
        return cls(folder, fingerprint, manifest, shelf)

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
        """All images of "train", "validation" or "test", in the source's order, in memory.

        Raises NotFound for another name, Damaged naming a shard whose bytes have changed.
        """
        import torch

        index = self._of(split)
        if self.remote is not None or FEW * len(index["row"]) <= sum(self.counts.values()):
            # Of a set larger than memory a small split does not cost reading all of it.
            stored = self.stored(split)
            return Images(in_pieces(stored.image_NHWC), stored.label_N)
        shard_N, row_N = index["shard"], index["row"]
        image_NHWC = np.empty((len(row_N), *self._pixels), np.uint8)
        for number in np.unique(shard_N):
            shard = self.shards[number]
            path = self.folder / "shards" / shard.file
            shards.verify(path, shard)
            places = np.flatnonzero(shard_N == number)
            copy_rows(path, row_N[places], image_NHWC, places)
        label_N = index["label"].astype(np.int64)
        return Images(torch.from_numpy(image_NHWC), torch.from_numpy(label_N))

    def stored(self, split: str) -> StoredImages:
        """The same images in the same order, left in the shards and read when they are picked.

        About 40 bytes an image are in memory. Raises as `load` does; damage of pixels is found when
        they are read, since each image is checked then.
        """
        import torch

        index = self._of(split)
        places = self._places.pick(index["place"])
        label_N = torch.from_numpy(index["label"].astype(np.int64))
        return StoredImages(StoredRows(self._shelf, places, self._pixels), label_N)

    def files(self, split: str) -> tuple[str, ...]:
        """What the source calls each image of a split, in order; numbers of a set elsewhere."""
        index = self._of(split)
        shard_N, row_N = index["shard"], index["row"].astype(np.int64)
        if self.remote is not None:
            return tuple(f"{split}[{place}]" for place in range(len(row_N)))
        found = [""] * len(row_N)
        for number in np.unique(shard_N):
            path = self.folder / "shards" / self.shards[number].file
            places = np.flatnonzero(shard_N == number)
            names = catalogue.texts(path, "source", row_N[places])
            for place, name in zip(places.tolist(), names, strict=True):
                found[place] = name or ""
        return tuple(found)

    def bytes_of(self, split: str) -> int:
        """Of the images of a split in memory."""
        return self.counts[split] * math.prod(self._pixels)

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

    @property
    def _pixels(self) -> tuple[int, int, int]:
        return self.size, self.size, self.channels

    @cached_property
    def _shelf(self) -> Shelf:
        if self.remote is not None:
            return self.remote
        paths = [self.folder / "shards" / shard.file for shard in self.shards]
        return MappedShards(paths, self.shards)

    @cached_property
    def _places(self) -> Places:
        """Of all images of the set. Their digests are what the set's fingerprint is made of."""
        found, content = self._read_places()
        if content != self.fingerprint:
            renewed = [self._shelf.renew(number) for number in range(len(self.shards))]
            if any(renewed):
                found, content = self._read_places()
            if content != self.fingerprint:
                self._name_the_damaged(self._shelf)
        return found

    def _read_places(self) -> tuple[Places, str]:
        """And the fingerprint of a set of these images."""
        index, shelf = self._index(), self._shelf
        found = shelf.addresses(math.prod(self._pixels))
        for name, shard, (offset_R, _) in zip(shelf.names(), self.shards, found, strict=True):
            if len(offset_R) != shard.rows:
                raise Damaged(
                    f"the shard {name} holds {len(offset_R)} images, not {shard.rows}",
                    where=name,
                    hint=shelf.mend,
                )
        first_S = np.cumsum([0, *(shard.rows for shard in self.shards)])
        at_N = first_S[index["shard"]] + index["row"]
        digest_N = np.concatenate([digest_R for _, digest_R in found])[at_N]
        offset_N = np.concatenate([offset_R for offset_R, _ in found])[at_N]
        content = fingerprint_of(
            self.manifest["settings"], self.classes, index["label"], index["split"], digest_N
        )
        return Places(index["shard"], offset_N, digest_N), content

    def _name_the_damaged(self, shelf: Shelf) -> None:
        """Raise Damaged; of files the one is looked for whose bytes have changed."""
        if self.remote is None:
            for name, shard in zip(shelf.names(), self.shards, strict=True):
                shards.verify(Path(name), shard)
        where = str(self.folder) if self.remote is None else self.remote.reader.uri
        raise Damaged(
            f"the digests in the shards of {where} are not those of the set {self.fingerprint}",
            where=where,
            hint=MEND if self.remote is None else remote.MEND,
        )

    def _of(self, split: str) -> dict[str, NDArray[Any]]:
        """The index of one split, and `place`, where in the whole index each image stands."""
        if split not in SPLITS:
            raise NotFound(
                f"there is no split {split!r}", where=split, hint=f"splits: {', '.join(SPLITS)}"
            )
        index = self._index()
        place = np.flatnonzero(index["split"] == SPLITS.index(split))
        return {"place": place} | {name: column[place] for name, column in index.items()}

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


def _fetch_index(reader: S3Reader, folder: Path, index: dict[str, Any]) -> None:
    """Unless it is here and whole."""
    path = folder / index["file"]
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == index["sha256"]:
        return
    data = reader.read(path.name)
    if hashlib.sha256(data).hexdigest() != index["sha256"]:
        where = reader.name(path.name)
        raise Damaged(
            f"{where} is damaged: its checksum is not the one in the manifest",
            where=where,
            hint=remote.MEND,
        )
    atomic.write_bytes(path, data)


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


def in_pieces(image_NHWC: ImageRows) -> Tensor:
    """All of them in memory, read a part at a time."""
    import torch

    out_NHWC = torch.empty(tuple(image_NHWC.shape), dtype=torch.uint8)
    for start, stop in spans(len(image_NHWC), PIECE):
        out_NHWC[start:stop] = image_NHWC[start:stop]
    return out_NHWC


def fingerprint_of(
    settings: dict[str, Any],
    classes: tuple[str, ...],
    label_N: NDArray[np.int32],
    split_N: NDArray[np.int8],
    digest_N: NDArray[Any],
) -> str:
    """What a set is called: 16 hexadecimal digits of its settings, classes and images, in order."""
    content = hashlib.sha256()
    for values in (label_N.astype("<i4"), split_N, digest_N):
        content.update(np.ascontiguousarray(values).tobytes())
    return fingerprint(1, settings, classes, content.hexdigest())


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
    for name in _named_files(content):
        if not name or name != Path(name).name or name.startswith("."):
            raise Damaged(f"{path} names a file that is not beside it: {name!r}", where=str(path))
    return content


def _named_files(content: dict[str, Any]) -> list[str]:
    """All files that are read, or written when the set is fetched."""
    tables = [content[kind]["table"] for kind in ("skipped", "duplicates")]
    return [*(shard["file"] for shard in content["shards"]), content["index"]["file"], *tables]


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
