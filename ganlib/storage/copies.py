"""Files of a folder in a bucket, and back: checked against an index that is written last.

index.json   format, and for every file its bytes and sha256: a file is there once it is listed
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.errors import Damaged, NotFound, StorageError
from ganlib.storage import atomic
from ganlib.storage.s3_store import S3Store
from ganlib.storage.stores import safe

INDEX = "index.json"
FORMAT = 1
AT_ONCE = 3  # files, each in so many parts as S3Store says
TRIES = 3


@dataclass(frozen=True)
class Copied:
    """`files` and `bytes` that were copied; `kept` were there already."""

    files: int
    bytes: int
    kept: int


def push(root: Path, names: Iterable[str], store: S3Store) -> Copied:
    """Copy files of `root` that the index of `store` does not have as they are; then the index.

    What is listed there and not here stays listed. A file that changes while it is copied is copied
    again, and left out if it goes or does not come to rest. Two at once lose each other's entries.
    Raises StorageError.
    """
    there = index(store)
    found = {name: _digest(root / name) for name in names}
    new = {name: told for name, told in found.items() if told and there.get(name) != told}

    def send(name: str) -> tuple[str, dict[str, Any] | None]:
        for _ in range(TRIES):
            before = _digest(root / name)
            if before is None:
                break
            try:
                store.upload(name, root / name)
            except StorageError:
                if (root / name).exists():
                    raise
                break
            if _digest(root / name) == before:
                return name, before
        return name, None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = {name: told for name, told in pool.map(send, new) if told}
    if sent:
        text = json.dumps({"format": FORMAT, "files": there | sent}, indent=0, sort_keys=True)
        store.write(INDEX, text.encode())
    return Copied(len(sent), sum(told["bytes"] for told in sent.values()), len(found) - len(new))


def pull(root: Path, store: S3Store, wanted: Callable[[str, int], bool]) -> Copied:
    """Copy what the index lists, is `wanted`, by name and bytes, and is not here as it is listed.

    A file appears whole and checked or not at all. Raises NotFound without an index, Damaged naming
    an object that is not what was written, StorageError for a name that leaves `root`.
    """
    there = index(store)
    if not there:
        raise NotFound(f"{store.uri} holds no {INDEX}", where=store.uri, hint="ganlib mirror push")
    names = [name for name, told in there.items() if wanted(safe(name), told["bytes"])]
    for name in names:
        _inside(root, name)
    lacking = [name for name in names if _digest(root / name) != there[name]]

    def take(name: str) -> int:
        fetch(store, name, root / name, there[name]["sha256"])
        return int(there[name]["bytes"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        taken = list(pool.map(take, lacking))
    return Copied(len(taken), sum(taken), len(names) - len(taken))


def index(store: S3Store) -> dict[str, dict[str, Any]]:
    """File -> bytes and sha256; empty where there is none. Raises Damaged."""
    try:
        told = json.loads(store.read(INDEX))
        if told["format"] > FORMAT:
            raise Damaged(f"{store.name(INDEX)} is of a newer ganlib", where=store.name(INDEX))
        return {str(k): {"bytes": int(v["bytes"]), "sha256": str(v["sha256"])}
                for k, v in told["files"].items()}  # fmt: skip
    except NotFound:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Damaged(f"{store.name(INDEX)} is damaged", where=store.name(INDEX)) from None


def fetch(store: S3Store, key: str, path: Path, sha256: str) -> None:
    """Raises Damaged when what arrives has another checksum."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            store.download(key, Path(part))
            with open(part, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                raise Damaged(
                    f"{store.name(key)} is damaged: its checksum is not the one that was written",
                    where=store.name(key),
                    hint="delete it there, and ganlib mirror push from where it is whole",
                )
            os.chmod(part, 0o644)
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise atomic.explain(error, path) from error


def _digest(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            return {"bytes": file.tell(), "sha256": found}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", where=str(path)) from error


def _inside(root: Path, name: str) -> None:
    """A link in the folder leads nowhere else either."""
    if not (root / name).parent.resolve().is_relative_to(root.resolve()):
        raise StorageError(f"{name!r} leads out of {root}", where=name)
