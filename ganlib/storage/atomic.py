"""A file is there whole or not at all, also after a power cut."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ganlib.errors import Damaged, StorageError


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` in one step; raises StorageError naming it (full disk, no rights)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: Path) -> StorageError:
    """The OSError as one that names the file and says what to do."""
    hints = {
        errno.ENOSPC: "free some space, or put the home on another disk with --home",
        errno.EDQUOT: "your quota is used up; put the home elsewhere with --home",
        errno.EROFS: "the disk is read-only; put the home elsewhere with --home",
        errno.EACCES: "no right to write there; put the home elsewhere with --home",
    }
    return StorageError(
        f"cannot write {path}: {error.strerror}",
        where=str(path),
        hint=hints.get(error.errno or 0, ""),
    )


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of indented JSON."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises Damaged naming `path` if it holds no JSON, FileNotFoundError if it is not there."""
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Damaged(
            f"{path} is damaged: {error}", where=str(path), hint="delete it and run again"
        ) from None
