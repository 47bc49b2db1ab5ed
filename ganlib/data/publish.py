"""From rows in shards to a data set: splits, statistics, duplicates, tables, manifest.

N images in source order, C channels, K classes.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ganlib.config import DataConfig
from ganlib.data import catalogue, duplicates, splits
from ganlib.data.blocks import SPLITS, Notes
from ganlib.data.dataset import copy_rows, fingerprint_of, write_manifest
from ganlib.data.shards import Shard, printable
from ganlib.errors import DataError
from ganlib.storage import atomic

PAIR_BYTES = 1 << 20


@dataclass(frozen=True)
class Rows:
    """Where every image of the source lies, and what the source says of it."""

    shard_N: NDArray[np.int32]
    row_N: NDArray[np.int32]
    label_N: NDArray[np.int32]
    given_N: NDArray[np.int8]

    def pick(self, chosen: NDArray[Any]) -> Rows:
        return Rows(
            self.shard_N[chosen], self.row_N[chosen], self.label_N[chosen], self.given_N[chosen]
        )

    def __len__(self) -> int:
        return len(self.row_N)


class Publisher:
    """Publishes one data set in `folder`, made of `shards` by their numbers."""

    def __init__(
        self, folder: Path, config: DataConfig, classes: tuple[str, ...], shards: list[Shard]
    ) -> None:
        self.folder = folder
        self.config = config
        self.classes = classes
        self.shards = shards

    def publish(self, rows: Rows, notes: Notes) -> str:
        """Write manifest, index and tables; gives the fingerprint.

        Raises DataError when too many images are bad or a class has too few.
        """
        facts = self._facts(rows)
        skipped = self._skipped(rows, facts["bad"], notes)
        good = np.flatnonzero(~facts["bad"])
        rows = rows.pick(good)
        facts = {name: values[good] for name, values in facts.items()}
        split_N = splits.assign(
            rows.given_N,
            rows.label_N,
            facts["digest"],
            seed=self.config.split_seed,
            validation_fraction=self.config.validation_fraction,
            test_fraction=self.config.test_fraction,
            classes=self.classes,
        )
        name = fingerprint_of(
            self._settings(), self.classes, rows.label_N, split_N, facts["digest"]
        )
        write_manifest(
            self.folder,
            {
                "fingerprint": name,
                "settings": self._settings(),
                "source": self.config.source.model_dump(mode="json"),
                "size": self.config.size,
                "channels": self.config.channels,
                "classes": list(self.classes),
                **self._counts(rows.label_N, split_N),
                **self._statistics(facts["moments"][split_N == splits.TRAIN]),
                **self._index(name, rows, split_N),
                "skipped": self._write(f"skipped-{name}.csv", ("file", "reason"), skipped),
                "ignored": dict(sorted(notes.ignored.items())),
                "duplicates": self._duplicates(name, rows, facts, split_N),
            },
        )
        return name

    def _facts(self, rows: Rows) -> catalogue.Columns:
        out: catalogue.Columns = {
            "digest": np.empty(len(rows), "V16"),
            "hash": np.empty(len(rows), np.uint64),
            "moments": np.empty((len(rows), 2 * self.config.channels), np.uint64),
            "bad": np.empty(len(rows), bool),
        }
        for number, places in self._by_shard(rows.shard_N):
            found = catalogue.facts(self._path(number))
            for name, values in found.items():
                out[name][places] = values[rows.row_N[places]]
        return out

    def _skipped(self, rows: Rows, bad_N: NDArray[np.bool_], notes: Notes) -> list[tuple[str, str]]:
        bad = np.flatnonzero(bad_N)
        found = list(
            zip(self._texts(rows, bad, "source"), self._texts(rows, bad, "reason"), strict=True)
        )
        share = len(bad) / max(1, len(rows))
        if share > self.config.max_bad_fraction:
            table = self._write("skipped-refused.csv", ("file", "reason"), found)["table"]
            first = "; ".join(f"{name}: {reason}" for name, reason in found[:3])
            raise DataError(
                f"{len(bad)} of {len(rows)} images ({share:.1%}) cannot be used, more than "
                f"max_bad_fraction {self.config.max_bad_fraction:g}. The first: {first}",
                where=found[0][0],
                hint=f"mend or remove them (all are listed in {self.folder / table}), "
                "or raise data.max_bad_fraction",
            )
        return found + [(printable(name), reason) for name, reason in notes.skipped]

    def _settings(self) -> dict[str, Any]:
        everything = self.config.preparation()
        for name in ("source", "shard_images", "max_bad_fraction", "max_pixels"):
            del everything[name]
        return everything

    def _counts(self, label_N: NDArray[np.int32], split_N: NDArray[np.int8]) -> dict[str, Any]:
        by_class = {
            name: np.bincount(label_N[split_N == i], minlength=len(self.classes)).tolist()
            for i, name in enumerate(SPLITS)
        }
        return {
            "counts": {name: sum(counts) for name, counts in by_class.items()},
            "class_counts": by_class,
        }

    def _statistics(self, moment_NM: NDArray[np.uint64]) -> dict[str, list[float]]:
        channels = self.config.channels
        pixels = max(1, len(moment_NM)) * self.config.size**2
        total = [int(value) for value in moment_NM.sum(axis=0, dtype=np.uint64)]
        mean = [value / pixels / 255 for value in total[:channels]]
        square = [value / pixels / 255**2 for value in total[channels:]]
        std = [max(0.0, s - m * m) ** 0.5 for m, s in zip(mean, square, strict=True)]
        return {"mean": mean, "std": std}

    def _index(self, name: str, rows: Rows, split_N: NDArray[np.int8]) -> dict[str, Any]:
        used, first, place_N = np.unique(rows.shard_N, return_index=True, return_inverse=True)
        # As the source first needs them: numbers of this run would tell who wrote which when.
        order = first.argsort()
        table = pa.table(
            {
                "shard": order.argsort()[place_N].astype(np.int32),
                "row": rows.row_N,
                "label": rows.label_N,
                "split": split_N,
            }
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        sha256 = hashlib.sha256(data).hexdigest()
        # Whoever opened the set before goes on reading the index that its own manifest names.
        file = f"index-{name}-{sha256[:16]}.arrow"
        atomic.write_bytes(self.folder / file, data)
        return {
            "index": {"file": file, "sha256": sha256},
            "shards": [vars(self.shards[number]) for number in used[order]],
        }

    def _duplicates(
        self, name: str, rows: Rows, facts: catalogue.Columns, split_N: NDArray[np.int8]
    ) -> dict[str, Any]:
        channels = self.config.channels
        area = self.config.size**2 * channels
        light_N = facts["moments"][:, :channels].sum(axis=1) / area
        found = duplicates.find(
            facts["digest"],
            facts["hash"],
            light_N,
            facts["moments"][:, channels:].sum(axis=1) / area - light_N**2,
            lambda left, right: self._distance(rows, left, right),
        )
        lines: list[tuple[Any, ...]] = []
        out: dict[str, Any] = {}
        for kind, groups in (("exact", found.exact), ("near", found.near)):
            out[kind] = {
                "groups": len(groups),
                "images": sum(map(len, groups)),
                "across_splits": sum(len(set(split_N[g].tolist())) > 1 for g in groups),
                "across_classes": sum(len(set(rows.label_N[g].tolist())) > 1 for g in groups),
            }
            everyone = np.concatenate([np.empty(0, np.int64), *groups])
            names = iter(self._texts(rows, everyone, "source"))
            for number, group in enumerate(groups):
                for row in group:
                    split, label = SPLITS[split_N[row]], self.classes[rows.label_N[row]]
                    lines.append((kind, number, next(names), split, label))
        header = ("kind", "group", "file", "split", "label")
        return {**out, "table": self._write(f"duplicates-{name}.csv", header, lines)["table"]}

    def _distance(
        self, rows: Rows, left_P: NDArray[np.int64], right_P: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Mean squared difference of each pair, in grey levels."""
        out = np.empty(len(left_P))
        at_once = max(8, PAIR_BYTES // (self.config.size**2 * self.config.channels * 2))
        for start in range(0, len(left_P), at_once):
            piece = slice(start, start + at_once)
            wanted, place = np.unique(
                np.concatenate([left_P[piece], right_P[piece]]), return_inverse=True
            )
            image_NHWC = self._images(rows.pick(wanted))
            flat = image_NHWC.reshape(len(wanted), -1).astype(np.int16)
            half = len(place) // 2
            gap = flat[place[:half]] - flat[place[half:]]
            out[piece] = np.einsum("pi,pi->p", gap, gap, dtype=np.float64) / gap.shape[1]
        return out

    def _images(self, rows: Rows) -> NDArray[np.uint8]:
        shape = (len(rows), self.config.size, self.config.size, self.config.channels)
        image_NHWC = np.empty(shape, np.uint8)
        for number, places in self._by_shard(rows.shard_N):
            copy_rows(self._path(number), rows.row_N[places], image_NHWC, places)
        return image_NHWC

    def _texts(self, rows: Rows, wanted: NDArray[np.int64], column: str) -> list[str]:
        out = [""] * len(wanted)
        for number, places in self._by_shard(rows.shard_N[wanted]):
            chosen = rows.row_N[wanted[places]].astype(np.int64)
            found = catalogue.texts(self._path(number), column, chosen)
            for place, text in zip(places, found, strict=True):
                out[place] = text or ""
        return out

    def _by_shard(self, shard_N: NDArray[np.int32]) -> Iterable[tuple[int, NDArray[np.int64]]]:
        for number in np.unique(shard_N):
            yield int(number), np.flatnonzero(shard_N == number)

    def _path(self, number: int) -> Path:
        return self.folder / "shards" / self.shards[number].file

    def _write(
        self, name: str, header: tuple[str, ...], lines: list[tuple[Any, ...]]
    ) -> dict[str, Any]:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
        atomic.write_bytes(self.folder / name, text.getvalue().encode())
        return {"count": len(lines), "table": name}
