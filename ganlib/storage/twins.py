"""A folder whose files are in a bucket as well: written to both, read where they are.

With `GANLIB_MIRROR=s3://bucket/prefix` a run's snapshots are mirrored the moment they are
published, under the same names as in the home, so that a machine with an empty disk goes on from
them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from ganlib.errors import NotFound, StorageError
from ganlib.storage.s3_store import S3Store
from ganlib.storage.stores import LocalStore, Store

logger = logging.getLogger("ganlib.storage")
DEADLINE_S = 30.0  # so long training waits for a bucket that does not answer
PAUSE_S = 300.0  # and then goes on without it for so long


class Mirrored:
    """A `Store`. The folder is the truth while it is there; the bucket may lag behind.

    A bucket that fails is no reason for training to stop: it is logged, and left alone for a while.
    What is missing there `ganlib mirror push` copies later.
    """

    def __init__(self, folder: LocalStore, bucket: S3Store) -> None:
        self.folder, self.bucket = folder, bucket
        self._rests_until = 0.0
        self._there: set[str] | None = None

    @property
    def uri(self) -> str:
        return self.folder.uri

    def read(self, key: str) -> bytes:
        """Raises NotFound where neither has it."""
        try:
            return self.folder.read(key)
        except NotFound:
            return self.bucket.read(key)

    def write(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Raises as the folder does."""
        self.folder.write(key, data, if_absent=if_absent)
        if self._also(lambda: self.bucket.write(key, data)) and self._there is not None:
            self._there.add(key)

    def list(self, prefix: str = "") -> list[str]:
        """The bucket is asked once, since nobody else writes there meanwhile.

        Raises StorageError if it does not answer: a run must not begin anew beside its snapshots.
        """
        if self._there is None:
            self._there = set(self.bucket.list())
        there = {key for key in self._there if key.startswith(prefix)}
        return sorted({*self.folder.list(prefix), *there})

    def delete(self, key: str) -> None:
        self.folder.delete(key)
        if self._there is not None:
            self._there.discard(key)
        self._also(lambda: self.bucket.delete(key))

    def local(self, key: str) -> Path | None:
        return self.folder.local(key)

    def tidy(self) -> None:
        self.folder.tidy()

    def _also(self, act: Callable[[], None]) -> bool:
        if time.monotonic() < self._rests_until:
            return False
        try:
            act()
            return True
        except StorageError as error:
            self._rests_until = time.monotonic() + PAUSE_S
            logger.warning("the mirror is left alone for a while: %s", error.message)
            return False


def mirrored(folder: Path) -> Store:
    """The folder, and the place of the same name below `GANLIB_MIRROR` if it is set.

    Folders that lie in no home are not mirrored. Raises ConfigError for another URI than s3://.
    """
    local, uri = LocalStore(folder), os.environ.get("GANLIB_MIRROR", "")
    home = next((one for one in folder.parents if (one / "home.json").is_file()), None)
    if not uri or home is None:
        return local
    inside = folder.relative_to(home).as_posix()
    return Mirrored(local, S3Store(f"{uri.rstrip('/')}/{inside}", deadline=DEADLINE_S))
