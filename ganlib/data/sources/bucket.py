"""A source whose path is s3://bucket/prefix: its objects are files here before they are read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ganlib.config import Arrays, Cifar10, Folder, Idx, Source, Unlabelled, fingerprint
from ganlib.config.layout import EXTENSIONS, clutter, extension
from ganlib.errors import DataError

if TYPE_CHECKING:
    from ganlib.data.sources import Surroundings
    from ganlib.storage.s3 import Entry, S3Reader

Pathed = Arrays | Cifar10 | Folder | Idx | Unlabelled
SCHEME = "s3://"


def uri_of(source: Source) -> str | None:
    """Where it lies, if that is a bucket."""
    path = source.path if isinstance(source, Pathed) else None
    return path if path is not None and path.startswith(SCHEME) else None


def obtain(source: Source, around: Surroundings) -> Source:
    """The source with a folder or file of this machine as its path; others are as they were.

    Objects that are new or other than the last time are fetched, and those that are gone are gone
    here. Raises DataError where there is nothing to read, and StorageError.
    """
    uri = uri_of(source)
    if uri is None or not isinstance(source, Pathed):
        return source
    from ganlib.storage.follow import follow

    reader, entries = _listed(source, uri)
    if around.downloads is None:
        raise DataError(f"there is no folder to fetch {uri} to", where=uri)
    words = re.sub(r"[^A-Za-z0-9]+", "-", uri.removeprefix(SCHEME)).strip("-")[-60:]
    folder = around.downloads / "s3" / f"{words}-{fingerprint('bucket', source.kind, uri)[:8]}"
    files = follow(
        reader, folder, entries, lambda done, total: around.progress(f"fetching {uri}", done, total)
    )
    path = files / entries[0].key if _one_file(uri) else files
    return source.model_copy(update={"path": str(path)})


def state(source: Source, uri: str) -> str:
    """Of the names, sizes and etags alone: nothing is fetched."""
    _, entries = _listed(source, uri)
    return fingerprint("bucket", source.kind, uri, [[e.key, e.size, e.etag] for e in entries])


def _listed(source: Source, uri: str) -> tuple[S3Reader, list[Entry]]:
    from ganlib.storage import S3Reader

    if _one_file(uri):
        parent, _, name = uri.rpartition("/")
        reader = S3Reader(parent)
        found = [entry for entry in reader.entries(name) if entry.key == name]
    else:
        reader = S3Reader(uri)
        found = [e for e in reader.entries() if not e.key.endswith("/") and _visible(e.key)]
    wanted = found
    if isinstance(source, Folder | Unlabelled):
        wanted = [entry for entry in found if extension(Path(entry.key).name) in EXTENSIONS]
    if not wanted:
        kinds = Counter(extension(Path(entry.key).name) or "no extension" for entry in found)
        held = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))
        raise DataError(
            f"{uri} holds nothing to read" + (f", but {held}" if held else ""),
            where=uri,
            hint=f"check data.source.path; aws s3 ls {uri}",
        )
    return reader, wanted


def _one_file(uri: str) -> bool:
    """An .npz; all else is a folder."""
    return uri.endswith(".npz")


def _visible(key: str) -> bool:
    return not any(clutter(part) for part in PurePosixPath(key).parts if part != "..")
