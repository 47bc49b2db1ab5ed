"""Objects of a bucket as files of a folder, which follows the bucket: what is new is fetched alone.

followed.json   format, and of every file the size and etag of the object it was fetched from
files/          the objects, by key
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from ganlib.errors import NotFound, StorageError
from ganlib.storage import atomic
from ganlib.storage.s3 import CONNECTIONS, Entry, S3Reader, changed
from ganlib.storage.stores import safe

RECORD = "followed.json"
FORMAT = 1
TOGETHER = 512  # files between two records, or so many that these are written
RECORDS = 50  # times: what a killed process fetches again, and of a million files it is 100 MB long
SPARE = 64 << 20


def follow(
    reader: S3Reader, folder: Path, entries: Sequence[Entry], tell: Callable[[int, int], None]
) -> Path:
    """Make `folder`/files hold these objects of `reader` and nothing else; the path of it.

    An object whose size and etag are those of the last time is not fetched again, and its file is
    not touched. `tell` hears how many are fetched, and of how many. Raises StorageError for a key
    that is no name of a file here, for an object that changed meanwhile, where there is no room,
    and as `reader` does. Call it while nobody else does.
    """
    _checked(reader, entries)
    files = folder / "files"
    try:
        files.mkdir(parents=True, exist_ok=True)
        known = {key: told for key, told in _record(folder).items() if _there(files / key, told)}
        wanted = {entry.key: [entry.size, entry.etag] for entry in entries}
        for path in sorted(files.rglob("*"), reverse=True):  # folders after what they hold
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path.relative_to(files).as_posix() not in wanted:
                path.unlink()
        kept = {key: told for key, told in known.items() if wanted.get(key) == told}
        lacking = [entry for entry in entries if entry.key not in kept]
        _room(reader, folder, sum(entry.size for entry in lacking))
        _keep(folder, kept)  # what is about to be replaced is no longer what it was
        _fetch(reader, files, lacking, lambda: _keep(folder, kept), kept, tell)
        _keep(folder, kept)
    except OSError as error:
        raise atomic.explain(error, folder) from error
    return files


def _fetch(
    reader: S3Reader,
    files: Path,
    lacking: Sequence[Entry],
    keep: Callable[[], None],
    kept: dict[str, list[Any]],
    tell: Callable[[int, int], None],
) -> None:
    """Some at a time; what is whole is recorded even if another one fails."""
    waiting, done = iter(lacking), 0
    together = max(TOGETHER, -(-len(lacking) // RECORDS))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        while some := list(islice(waiting, together)):
            futures = [pool.submit(_one, reader, files, entry) for entry in some]
            try:
                for entry, future in zip(some, futures, strict=True):
                    future.result()
                    kept[entry.key] = [entry.size, entry.etag]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                keep()
            done += len(some)
            tell(done, len(lacking))


def _one(reader: S3Reader, files: Path, entry: Entry) -> None:
    path = files / entry.key
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            try:
                reader.fetch(entry.key, file, entry.etag)
            except NotFound:
                raise changed(reader.name(entry.key)) from None
            file.flush()
            os.fsync(file.fileno())  # or it might be empty after a power cut, and be taken for it
        if part.stat().st_size != entry.size:
            raise changed(reader.name(entry.key))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _checked(reader: S3Reader, entries: Sequence[Entry]) -> None:
    """Every key is a path of its own that stays inside, and none is a folder of another."""
    names = {entry.key for entry in entries}
    for key in names:
        path = PurePosixPath(safe(key))
        if path.as_posix() != key or "\\" in key or "\0" in key or len(path.name.encode()) > 240:
            raise _no_file(reader, key, "is no name of a file")
        for parent in path.parents:
            if parent.as_posix() in names:
                raise _no_file(reader, key, "lies below an object that is no folder")


def _no_file(reader: S3Reader, key: str, why: str) -> StorageError:
    return StorageError(
        f"{reader.name(key)} {why}", where=reader.name(key), hint="rename it in the bucket"
    )


def _room(reader: S3Reader, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise StorageError(
            f"{reader.uri} takes {needed / 1e9:.3g} GB more here, and {free / 1e9:.3g} GB are free",
            where=str(folder),
            hint="free some space, or use a home on a larger disk",
        )


def _record(folder: Path) -> dict[str, list[Any]]:
    """Empty where there is none or it is damaged: then all is fetched again."""
    try:
        told = json.loads((folder / RECORD).read_text())
        return dict(told["files"]) if told["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _keep(folder: Path, kept: dict[str, list[Any]]) -> None:
    text = json.dumps({"format": FORMAT, "files": kept}, indent=0, sort_keys=True)
    atomic.write_bytes(folder / RECORD, text.encode())


def _there(path: Path, told: Any) -> bool:
    return isinstance(told, list) and path.is_file() and path.stat().st_size == told[0]
