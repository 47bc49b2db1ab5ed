"""A folder of whole files from elsewhere, of bounded size, shared by the processes of a machine.

A file is known by a name that belongs to its contents. What a living process has taken stays; of
the rest, what was used longest ago goes first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from ganlib.errors import Damaged, StorageError
from ganlib.storage.locks import holding

PART = "part-"


def default_cache() -> Path:
    """`GANLIB_CACHE`, or ganlib in the user's cache folder: of this machine, not of the home."""
    told = os.environ.get("GANLIB_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(told) if told else Path(base) / "ganlib"


class Cache:
    """At most `limit` bytes of files in `root`, unfinished ones counted in full.

    A lease is a file of this process that lists what it took, under a lock of the system; when the
    process ends, however it ends, the lock is gone and with it the lease.
    """

    def __init__(self, root: Path, limit: int) -> None:
        self.root, self.limit = root, limit
        self.files = root / "files"
        self._leases = root / "leases"
        self._lease: BinaryIO | None = None
        try:
            for folder in (self.files, self._leases, root / "locks"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _explain(error, root) from error

    def find(self, name: str, size: int) -> Path | None:
        """Take the file if it is there and whole."""
        with self._deciding():
            path = self.files / name
            try:
                if path.stat().st_size != size:
                    return None
                os.utime(path)
            except OSError:
                return None
            self._hold(name)
            return path

    def take(
        self, name: str, size: int, sha256: str, fetch: Callable[[BinaryIO], None]
    ) -> Path | None:
        """Take the file, fetching it if need be; none if there is no room beside what is in use.

        Of several processes one fetches and the others wait for it. `fetch` writes to a file of
        `size` bytes from its start, and does not shorten it meanwhile. Raises Damaged when what was
        fetched has another checksum, StorageError for a full disk, and what `fetch` raises.
        """
        with holding(self._lock_of(name), f"fetching {name}", wait=-1):
            found = self.find(name, size)
            if found is not None:
                return found
            part = self.files / f"{PART}{name}"
            with self._deciding():
                if not self._make_room(size, beside=name):
                    return None
                self._hold(name)
                try:
                    with part.open("wb") as file:
                        file.truncate(size)  # counted in full from now on
                except OSError as error:
                    raise _explain(error, part) from error
            try:
                self._fill(part, sha256, fetch)
            except BaseException:
                with self._deciding():
                    part.unlink(missing_ok=True)
                raise
            path = self.files / name
            with self._deciding():
                os.replace(part, path)
            return path

    def drop_damaged(self, name: str, sha256: str) -> None:
        """Remove the file if its bytes have another checksum; who has it mapped keeps them."""
        path = self.files / name
        with holding(self._lock_of(name), f"checking {name}", wait=-1):
            with suppress(FileNotFoundError), path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return
            with self._deciding():
                path.unlink(missing_ok=True)

    def release(self) -> None:
        """What this process took may go."""
        if self._lease is not None:
            with self._deciding():
                Path(self._lease.name).unlink(missing_ok=True)
                self._lease.close()
                self._lease = None

    def _fill(self, part: Path, sha256: str, fetch: Callable[[BinaryIO], None]) -> None:
        try:
            with part.open("r+b") as file:
                fetch(file)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _explain(error, part) from error
        if found != sha256:
            name = part.name.removeprefix(PART)
            raise Damaged(
                f"{name} is damaged where it comes from: its checksum is not the one in the "
                "manifest",
                where=name,
                hint="copy it there again from where the set was prepared",
            )

    def _lock_of(self, name: str) -> Path:
        """One of 256: names come and go, and the file of a lock cannot be removed safely."""
        number = hashlib.sha256(name.encode()).hexdigest()[:2]
        return self.root / "locks" / f"fetch-{number}.lock"

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        """Who adds and who removes, one process at a time; nothing slow is done meanwhile."""
        with FileLock(str(self.root / "locks" / "cache.lock")):
            yield

    def _hold(self, name: str) -> None:
        if self._lease is None:
            handle, path = tempfile.mkstemp(dir=self._leases, prefix=f"{os.getpid()}-")
            os.close(handle)
            self._lease = open(path, "ab", buffering=0)  # noqa: SIM115
            fcntl.flock(self._lease, fcntl.LOCK_EX)
        self._lease.write(f"{name}\n".encode())

    def _in_use(self) -> set[str]:
        """What living processes took; the leases of dead ones are removed."""
        names: set[str] = set()
        for path in self._leases.iterdir():
            if self._lease is not None and path == Path(self._lease.name):
                names.update(path.read_text().split())
                continue
            with suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    names.update(file.read().decode().split())
                else:
                    path.unlink(missing_ok=True)
        return names

    def _make_room(self, size: int, *, beside: str) -> bool:
        """Remove what is least recently used until `size` fits; nothing if that is not enough."""
        used = self._in_use() - {beside}
        found = [(path.stat().st_mtime, path.stat().st_size, path) for path in self.files.iterdir()]
        kept = sum(n for _, n, path in found if path.name.removeprefix(PART) in used)
        if kept + size > self.limit:
            return False
        total = sum(n for _, n, _ in found) + size
        free = (entry for entry in found if entry[2].name.removeprefix(PART) not in used)
        for _, count, path in sorted(free):
            broken = path.name.removeprefix(PART) == beside or path.name.startswith(PART)
            if total > self.limit or broken:
                path.unlink(missing_ok=True)
                total -= count
        return True


def _explain(error: OSError, path: Path) -> StorageError:
    return StorageError(
        f"cannot write {path}: {error.strerror}",
        where=str(path),
        hint="free some space, lower data.reading.cache_bytes, or name another folder in "
        "GANLIB_CACHE",
    )
