"""Downloads from the publishers: resumed where they were cut off, checked before they are used."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import socket
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.data.publishers import CIFAR10, IdxSet, Published
from ganlib.errors import DataError
from ganlib.storage import atomic, write_bytes

if TYPE_CHECKING:
    from ganlib.data.sources import Surroundings

WAITS_S = (0.0, 0.2, 1.0, 4.0)
TIMEOUT_S = 30.0
PIECE = 1 << 18
Progress = Callable[[str, int, int], None]


def obtain_idx(known: IdxSet, around: Surroundings) -> Path:
    """Download the four files to a folder and return it; or DataError with what to put where."""
    hint = _by_hand(
        around,
        [f"{known.folders[0]}/{Path(file.url).name}" for file in known.files],
        [file.url for file in known.files],
    )
    folder = _destination(known.name, around, hint)
    for file in known.files:
        path = folder / Path(file.url).name
        if not path.is_file():
            _download(file, path, around.progress, known.name, hint)
    return folder


def obtain_cifar10(
    around: Surroundings, members: tuple[str, ...], published: Published = CIFAR10
) -> Path:
    """Download and unpack the binary version; returns the folder of the six files."""
    hint = _by_hand(
        around,
        [f"cifar-10-batches-bin/{name}" for name in members],
        [f"{published.url} (unpacked)"],
    )
    folder = _destination("cifar10", around, hint)
    unpacked = folder / "cifar-10-batches-bin"
    if all((unpacked / name).is_file() for name in members):
        return unpacked
    archive = folder / published.name
    if not archive.is_file():
        _download(published, archive, around.progress, "cifar10", hint)
    _unpack(archive, unpacked, members)
    archive.unlink()
    return unpacked


def _destination(name: str, around: Surroundings, hint: str) -> Path:
    if around.downloads is None:
        raise DataError(f"{name} was not found", where=name, hint=hint)
    if around.offline and not (around.downloads / name).is_dir():
        raise DataError(
            f"{name} is not here (looked in {_looked(around)}) and must not be downloaded: offline",
            where=name,
            hint=hint,
        )
    return around.downloads / name


def _looked(around: Surroundings) -> str:
    return ", ".join(map(str, around.search)) or "no folder, since GANLIB_DATA is not set"


def _by_hand(around: Surroundings, files: list[str], urls: list[str]) -> str:
    return (
        f"it was looked for in {_looked(around)}; "
        + "or put these files into a folder and name it by GANLIB_DATA: "
        + ", ".join(files)
        + "; they are published at "
        + ", ".join(urls)
    )


def _download(file: Published, path: Path, progress: Progress, title: str, hint: str) -> None:
    """Fetch to `path`.part, check, rename; what is not as published is not kept."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.explain(error, part) from error
    for wait_s in WAITS_S:
        time.sleep(wait_s)
        try:
            _fetch(
                file.url, part, lambda done, total: progress(f"{title}: {path.name}", done, total)
            )
            break
        except (OSError, http.client.HTTPException) as error:
            failure: Exception = error
            if _hopeless(error):
                raise _unreachable(file.url, title, failure, hint) from None
    else:
        raise _unreachable(file.url, title, failure, hint) from None
    found, expected = _checksum(part, file)
    if found != expected:
        part.unlink()
        raise DataError(
            f"what {file.url} sends is not what was published: checksum {found}, not {expected}",
            where=file.url,
            hint="try again later, " + hint,
        )
    os.replace(part, path)


def _hopeless(error: Exception) -> bool:
    """No such host or page: asking again will not help."""
    if isinstance(error, urllib.error.HTTPError):
        return 400 <= error.code < 500
    return isinstance(error, urllib.error.URLError) and isinstance(error.reason, socket.gaierror)


def _unreachable(url: str, title: str, failure: Exception, hint: str) -> DataError:
    return DataError(
        f"{title} is not here and {url} cannot be downloaded: "
        f"{getattr(failure, 'reason', None) or failure}",
        where=url,
        hint="run again to go on where it stopped, " + hint,
    )


class _CutOff(OSError):
    """The connection ended before the file did; the next try goes on there."""


def _fetch(url: str, part: Path, tell: Callable[[int, int], None]) -> None:
    """Append what is missing of `url` to `part`, or start again if the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "ganlib"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S
        )
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        if error.headers.get("Content-Range", "") == f"bytes */{have}":
            return
        part.unlink()
        raise _CutOff("the part that was here is not of this file") from None
    with response:
        resumed = response.status == 206 and str(
            response.headers.get("Content-Range", "")
        ).startswith(f"bytes {have}-")
        done = have if resumed else 0
        total = done + int(response.headers.get("Content-Length") or 0)
        for data in iter(lambda: response.read(PIECE), b""):
            _append(part, data, fresh=done == 0)
            done += len(data)
            tell(done, total)
    if done < total:
        raise _CutOff(f"only {done} of {total} bytes came")


def _append(part: Path, data: bytes, *, fresh: bool) -> None:
    try:
        with part.open("wb" if fresh else "ab") as file:
            file.write(data)
    except OSError as error:
        raise atomic.explain(error, part) from error


def _checksum(path: Path, file: Published) -> tuple[str, str]:
    """Found and expected: sha256 of the decompressed content, or md5 of the file itself."""
    digest: Any = hashlib.md5(usedforsecurity=False) if file.md5 else hashlib.sha256()
    try:
        with path.open("rb") if file.md5 else gzip.open(path, "rb") as content:
            while data := content.read(1 << 20):
                digest.update(data)
    except (OSError, EOFError, zlib.error) as error:
        return f"none ({error})", file.md5 or file.sha256
    return digest.hexdigest(), file.md5 or file.sha256


def _unpack(archive: Path, folder: Path, members: tuple[str, ...]) -> None:
    """The named members alone, by their last names, each there whole or not at all."""
    wanted = set(members)
    with tarfile.open(archive, "r:gz") as packed:
        for member in packed:
            name = Path(member.name).name
            content = packed.extractfile(member) if name in wanted and member.isreg() else None
            if content is not None:
                write_bytes(folder / name, content.read())
                wanted.discard(name)
    if wanted:
        raise DataError(f"{archive} lacks {', '.join(sorted(wanted))}", where=str(archive))
