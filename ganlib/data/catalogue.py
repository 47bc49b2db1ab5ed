"""What the shards of a folder already hold, so that nothing is decoded twice.

N images of all shards, in shard order; R rows asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.data import shards
from ganlib.data.shards import Shard
from ganlib.errors import Damaged

Columns = dict[str, NDArray[Any]]


class Catalogue:
    """The sound shards made with `decoding`; a damaged one is as good as not there."""

    def __init__(self, folder: Path, decoding: str) -> None:
        self.folder = folder
        self.shards: list[Shard] = []
        key_parts, shard_parts, row_parts = [], [], []
        for path in sorted(folder.glob(f"{decoding}-*.arrow")):
            try:
                key_N = _keys(path)
                shard = shards.describe(path, len(key_N))
            except (Damaged, OSError):
                continue
            if not shard.file.endswith(f"-{shard.sha256[:32]}.arrow"):
                continue
            key_parts.append(key_N)
            shard_parts.append(np.full(len(key_N), len(self.shards), np.int32))
            row_parts.append(np.arange(len(key_N), dtype=np.int32))
            self.shards.append(shard)
        key_N = np.concatenate([np.empty(0, np.uint64), *key_parts])
        order = np.argsort(key_N, kind="stable")
        self._key_N = key_N[order]
        self._shard_N = np.concatenate([np.empty(0, np.int32), *shard_parts])[order]
        self._row_N = np.concatenate([np.empty(0, np.int32), *row_parts])[order]

    def find(self, key_R: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Shard number and row of each key; shard -1 where it is not there."""
        if not len(self._key_N):
            return np.full(len(key_R), -1, np.int32), np.zeros(len(key_R), np.int32)
        place = np.minimum(np.searchsorted(self._key_N, key_R), len(self._key_N) - 1)
        there = self._key_N[place] == key_R
        return np.where(there, self._shard_N[place], -1), np.where(there, self._row_N[place], 0)


def _keys(path: Path) -> NDArray[np.uint64]:
    parts = [
        np.array(batch.column(batch.schema.get_field_index("key")))
        for batch in shards.read_batches(path)
    ]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def facts(path: Path) -> Columns:
    """The small columns of a shard, copied: digest, hash, moments, bad (a reason is given)."""
    parts: dict[str, list[NDArray[Any]]] = {"digest": [], "hash": [], "moments": [], "bad": []}
    for batch in shards.read_batches(path):
        columns = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        width = columns["digest"].type.byte_width
        digest = np.frombuffer(columns["digest"].buffers()[1], np.uint8).reshape(-1, width)
        start = columns["digest"].offset
        parts["digest"].append(digest[start : start + batch.num_rows].copy())
        parts["hash"].append(np.array(columns["hash"]))
        moment = columns["moments"]
        parts["moments"].append(np.array(moment.flatten()).reshape(batch.num_rows, -1))
        parts["bad"].append(~np.array(columns["reason"].is_null()))
    out = {name: np.concatenate(values) for name, values in parts.items()}
    out["digest"] = np.ascontiguousarray(out["digest"]).view("V16").reshape(-1)
    return out


def texts(path: Path, column: str, rows: NDArray[np.int64]) -> list[str | None]:
    """`column` (source or reason) of some rows of a shard."""
    out: list[str | None] = [None] * len(rows)
    order = np.argsort(rows, kind="stable")
    first, place = 0, 0
    for batch in shards.read_batches(path):
        values = batch.column(batch.schema.get_field_index(column))
        while place < len(rows) and rows[order[place]] < first + batch.num_rows:
            out[order[place]] = values[int(rows[order[place]]) - first].as_py()
            place += 1
        first += batch.num_rows
    return out
