"""Keys and bytes behind one protocol; keys are relative paths with forward slashes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Protocol

from ganlib.errors import ConfigError, NotFound, StorageError
from ganlib.storage import atomic


class Store(Protocol):
    """What snapshots and records need of a place; writes are atomic."""

    @property
    def uri(self) -> str: ...

    def read(self, key: str) -> bytes:
        """Raises NotFound."""

    def write(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Raises StorageError; with `if_absent` also when the key is taken."""

    def list(self, prefix: str = "") -> list[str]:
        """All keys that start with `prefix`, sorted."""

    def delete(self, key: str) -> None:
        """No error if it is not there."""

    def local(self, key: str) -> Path | None:
        """A path that can be memory-mapped, where the store has one."""

    def tidy(self) -> None:
        """Remove what writers that were killed left behind; call it while nobody writes."""


def safe(key: str) -> str:
    """The key, if it stays inside a store; raises StorageError if not."""
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise StorageError(f"{key!r} is not a key inside the store", where=key)
    return key


class LocalStore:
    """A folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def uri(self) -> str:
        return str(self.root)

    def read(self, key: str) -> bytes:
        try:
            return (self.root / safe(key)).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"{self.root / key} is not there", where=key) from None
        except OSError as error:
            raise StorageError(
                f"cannot read {self.root / key}: {error.strerror}", where=key
            ) from error

    def write(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        path = self.root / safe(key)
        if if_absent:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(data)
            except FileExistsError:
                raise StorageError(f"{path} is already there", where=key) from None
            except OSError as error:
                raise atomic.explain(error, path) from error
            return
        atomic.write_bytes(path, data)

    def list(self, prefix: str = "") -> list[str]:
        if not self.root.is_dir():
            return []
        found = (p for p in self.root.rglob("*") if p.is_file() and not p.name.startswith("."))
        keys = (p.relative_to(self.root).as_posix() for p in found)
        return sorted(key for key in keys if key.startswith(prefix))

    def delete(self, key: str) -> None:
        path = self.root / safe(key)
        path.unlink(missing_ok=True)
        if path.parent != self.root and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()

    def local(self, key: str) -> Path | None:
        return self.root / safe(key)

    def tidy(self) -> None:
        for path in self.root.rglob(".*"):
            if path.is_file():
                path.unlink(missing_ok=True)


class MemoryStore:
    """A dictionary, for tests and notebooks."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    @property
    def uri(self) -> str:
        return "memory:"

    def read(self, key: str) -> bytes:
        try:
            return self.blobs[safe(key)]
        except KeyError:
            raise NotFound(f"{key} is not there", where=key) from None

    def write(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        if if_absent and key in self.blobs:
            raise StorageError(f"{key} is already there", where=key)
        self.blobs[safe(key)] = bytes(data)

    def list(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self.blobs if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self.blobs.pop(safe(key), None)

    def local(self, key: str) -> Path | None:
        return None

    def tidy(self) -> None:
        """A write here is whole or did not happen."""


def open_store(uri: str) -> Store:
    """The store at a folder, `file:` or `s3:` URI; raises ConfigError for another scheme."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return LocalStore(Path(uri))
    if scheme == "file":
        return LocalStore(Path(rest))
    if scheme == "s3":
        from ganlib.storage.s3_store import S3Store

        return S3Store(uri)
    raise ConfigError(
        f"{uri}: there is no store for {scheme}://", where=uri, hint="give a folder or s3://"
    )
