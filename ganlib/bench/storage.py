"""`ganlib bench storage`: MB/s up and down beside plain boto3 transfers, and memory.

A snapshot is one large file, shards are many of 8 MB. Ours and boto3's take turns, so what else the
machine does meanwhile is shared; the ratio of each round counts, and its median is told.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ganlib.errors import Damaged
from ganlib.storage import S3Store
from ganlib.storage.plain import PlainTransfers

SHARD_BYTES = 8_000_000
PROMISED = 0.9
MEMORY_MB = 96.0
"""Parts held at once are 4 of 8 MB; the rest is boto3's own, with what it loads at first."""


class Transfers(Protocol):
    def upload(self, key: str, path: Path) -> None: ...

    def download(self, key: str, path: Path) -> None: ...


def bench_storage(
    uri: str,
    *,
    megabytes: int = 256,
    rounds: int = 5,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The document of `ganlib bench storage`; all that it wrote there is deleted.

    `ratio` is ours over boto3's speed, the median over rounds. Raises StorageError, Damaged.
    """
    store = S3Store(f"{uri.rstrip('/')}/bench-{uuid.uuid4().hex[:8]}")
    plain = PlainTransfers(store.bucket, store.prefix)
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="ganlib-bench-") as name:
        folder = Path(name)
        kinds = {
            "snapshot": _files(folder / "snapshot", [megabytes * 1_000_000], seed),
            "shards": _files(
                folder / "shards", [SHARD_BYTES] * max(1, megabytes // (SHARD_BYTES // 10**6)), seed
            ),
        }
        _warm(store, plain, folder)
        try:
            memory = _growth(lambda: _up(store, kinds["snapshot"]))
            memory = max(memory, _growth(lambda: _down(store, kinds["snapshot"])))
            for kind, files in kinds.items():
                for way, act in (("up", _up), ("down", _down)):
                    told.append(_compared(kind, way, act, store, plain, files, rounds))
                    line = told[-1]
                    say(
                        f"{kind} {way}: {line['ours_mb_s']:.0f} MB/s, boto3 "
                        f"{line['boto3_mb_s']:.0f}, ratio {line['ratio']:.2f}"
                    )
        finally:
            for key in store.list():
                store.delete(key)
    return {
        "uri": uri,
        "megabytes": megabytes,
        "rounds": rounds,
        "transfers": told,
        "memory_growth_mb": round(memory, 1),
        "memory_limit_mb": MEMORY_MB,
        "promised_ratio": PROMISED,
        "passed": all(one["ratio"] >= PROMISED for one in told) and memory <= MEMORY_MB,
        "load_average": os.getloadavg(),
    }


def _compared(
    kind: str,
    way: str,
    act: Callable[[Transfers, Sequence[Path]], float],
    store: S3Store,
    plain: PlainTransfers,
    files: Sequence[Path],
    rounds: int,
) -> dict[str, Any]:
    """Who begins alternates, since caches favour the second."""
    size = sum(path.stat().st_size for path in files) / 1e6
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            theirs, ours = act(plain, files), act(store, files)
        else:
            ours, theirs = act(store, files), act(plain, files)
        pairs.append((ours, theirs))
    ratios = [theirs / ours for ours, theirs in pairs]
    return {
        "kind": kind,
        "way": way,
        "mb": round(size, 1),
        "ours_mb_s": round(statistics.median(size / ours for ours, _ in pairs), 1),
        "boto3_mb_s": round(statistics.median(size / theirs for _, theirs in pairs), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def _up(transfers: Transfers, files: Sequence[Path]) -> float:
    begun = time.perf_counter()
    for path in files:
        transfers.upload(f"{path.parent.name}-{path.name}", path)
    return time.perf_counter() - begun


def _down(transfers: Transfers, files: Sequence[Path]) -> float:
    """Every byte is compared with what was sent, outside the time that counts."""
    spent = 0.0
    for path in files:
        back = path.with_name(f"back-{path.name}")
        begun = time.perf_counter()
        transfers.download(f"{path.parent.name}-{path.name}", back)
        spent += time.perf_counter() - begun
        if _digest(back) != _digest(path):
            raise Damaged(f"{path.name} came back otherwise", where=path.name)
        back.unlink()
    return spent


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path, sizes: Sequence[int], seed: int) -> list[Path]:
    folder.mkdir()
    drawn, made = random.Random(seed), []
    for number, size in enumerate(sizes):
        path = folder / f"{number:04d}"
        with path.open("wb") as file:
            for start in range(0, size, 1 << 20):
                file.write(drawn.randbytes(min(1 << 20, size - start)))
        made.append(path)
    return made


def _warm(store: S3Store, plain: PlainTransfers, folder: Path) -> None:
    """Connections, imports and threads before anything is counted."""
    (small,) = _files(folder / "small", [17_000_000], 1)
    for transfers in (store, plain):
        _up(transfers, [small])
        _down(transfers, [small])


def _growth(act: Callable[[], object]) -> float:
    """MB by which the most memory this process ever held has grown."""
    before = _peak_mb()
    act()
    return _peak_mb() - before


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
