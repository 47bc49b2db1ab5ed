"""What a home made, in a bucket, and back into a home at the same path.

Prepared data, records, reports, models and journals go by one index; snapshots carry their own
checksums in their meta.json, and are those that training mirrors itself with `GANLIB_MIRROR`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ganlib.errors import ConfigError, Damaged, StorageError
from ganlib.stages.values import Mirroring
from ganlib.storage import Home, LocalStore, S3Store, copies, holding
from ganlib.storage.stores import safe

FOLDERS = ("data", "stages", "runs", "spool")
LEFT_OUT = ("downloads", "snapshots", "forensics")
META, STATE = "meta.json", "state.safetensors"
WAIT_S = 600.0


def push(home: Home, uri: str | None = None) -> Mirroring:
    """One at a time, or the index of one would lose what another wrote into it.

    Raises ConfigError without a place, Busy after ten minutes of another's, StorageError.
    """
    store = S3Store(_place(uri))
    with holding(home.locks / "mirror.lock", "mirroring", wait=WAIT_S):
        copied = copies.push(home.root, list(_files(home)), store)
        snapshots, size = _push_snapshots(home, store)
    return _told(store.uri, copied, snapshots, size)


def pull(home: Home, uri: str | None = None) -> Mirroring:
    """Raises ConfigError without a place, NotFound where nothing was pushed, Damaged, StorageError.

    Records name files by their paths: what is pulled to another path is made anew. A journal that
    says more here than there stays: lines are only ever added to one.
    """
    store = S3Store(_place(uri))

    def wanted(name: str, size: int) -> bool:
        here = home.root / name
        grown = name.startswith("spool/") and here.is_file() and here.stat().st_size > size
        return _is_ours(name) and not grown

    copied = copies.pull(home.root, store, wanted)
    snapshots, size = _pull_snapshots(home, store)
    return _told(store.uri, copied, snapshots, size)


def _place(uri: str | None) -> str:
    told = uri or os.environ.get("GANLIB_MIRROR", "")
    if not told:
        raise ConfigError(
            "where to? no place is named",
            where="GANLIB_MIRROR",
            hint="give s3://bucket/prefix, or set GANLIB_MIRROR to it",
        )
    return told


def _told(uri: str, copied: copies.Copied, snapshots: int, size: int) -> Mirroring:
    return Mirroring(
        uri=uri,
        files=copied.files,
        bytes=copied.bytes + size,
        kept=copied.kept,
        snapshots=snapshots,
    )


def _files(home: Home) -> Iterator[str]:
    """A finished stage has a record: the work of others is their snapshots and journals."""
    for folder in FOLDERS:
        for path in _below(home.root / folder):
            name = path.relative_to(home.root).as_posix()
            if path.is_file() and not path.is_symlink() and _is_ours(name):
                yield name


def _below(folder: Path) -> list[Path]:
    """All files, while other runs add and remove some: folders that go are passed over."""
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)


def _is_ours(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") for part in parts) or name.endswith((".lock", ".owner"))
    return parts[0] in FOLDERS and not hidden and not any(part in LEFT_OUT for part in parts)


def _push_snapshots(home: Home, store: S3Store) -> tuple[int, int]:
    there, sent, size = set(store.list("runs/")), 0, 0
    for meta in _below(home.runs):
        key = meta.relative_to(home.root).as_posix()
        clock, above = meta.parent, meta.parent.parent
        if (meta.name, above.name) == (META, "snapshots") and clock.name.isdigit():
            count = None if key in there else _push_snapshot(store, key, meta)
            if count is not None:
                sent, size = sent + 1, size + count
    return sent, size


def _push_snapshot(store: S3Store, key: str, meta: Path) -> int | None:
    """Bytes of its state; none of one that training let go meanwhile, of which nothing is left."""
    state, state_key = meta.with_name(STATE), f"{key.removesuffix(META)}{STATE}"
    try:
        text, size = meta.read_bytes(), state.stat().st_size
        store.upload(state_key, state)
    except (FileNotFoundError, StorageError):
        if meta.is_file() and state.is_file():
            raise
        return None
    if not meta.is_file():
        store.delete(state_key)
        return None
    store.write(key, text)
    return size


def _pull_snapshots(home: Home, store: S3Store) -> tuple[int, int]:
    here, taken, size = LocalStore(home.root), 0, 0
    for key in store.list("runs/"):
        path = home.root / safe(key)
        if not (key.endswith(f"/{META}") and "/snapshots/" in key) or path.exists():
            continue
        text = store.read(key)
        try:
            told = json.loads(text)
            sha256 = str(told["sha256"])
        except (ValueError, KeyError, TypeError):
            raise Damaged(f"{store.name(key)} is damaged", where=store.name(key)) from None
        copies.fetch(store, f"{key.removesuffix(META)}{STATE}", path.with_name(STATE), sha256)
        here.write(key, text)
        taken, size = taken + 1, size + int(told["bytes"])
    return taken, size
