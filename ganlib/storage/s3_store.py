"""S3 as a store: writes, large ones in parts at the same time, and what becomes of broken ones.

An object appears whole or not at all: S3 shows an upload in parts only once it is completed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ganlib.errors import NotFound, StorageError
from ganlib.storage.s3 import S3Reader, changed

PART: Final = 8 << 20
PARTS_AT_MOST: Final = 10_000  # S3's own limit
AT_ONCE: Final = 4  # parts held in memory
STALE: Final = timedelta(days=1)
TAKEN: Final = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
IGNORANT: Final = {"NotImplemented", "501"}  # of conditional writes


class S3Store(S3Reader):
    """A `Store` at s3://bucket/prefix; safe to use from several threads."""

    def write(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Raises StorageError; with `if_absent` also when the key is taken.

        `if_absent` is decided by the server where it knows conditional writes, and else by a look
        before, which two writers at the same moment may both pass.
        """
        if if_absent:
            self._claim(key, data)
        elif len(data) > PART:
            self._in_parts(key, len(data), lambda start, count: data[start : start + count])
        else:
            self._put(key, data)

    def upload(self, key: str, path: Path) -> None:
        """The file, of any size, in at most `AT_ONCE` parts of memory. Raises StorageError."""
        try:
            size = path.stat().st_size
            if size <= PART:
                self._put(key, path.read_bytes())
                return
            handle = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}", where=str(path)) from error
        try:
            self._in_parts(key, size, lambda start, count: os.pread(handle, count, start))
        finally:
            os.close(handle)

    def download(self, key: str, path: Path) -> None:
        """The object into `path`, large ones in parts at the same time. Raises as `read` does."""
        size = self.size(key)
        if size is None:
            raise NotFound(f"{self.name(key)} is not there", where=self.name(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        step = _step(size)
        with path.open("wb") as file:
            file.truncate(size)

        def part(start: int) -> None:
            with path.open("r+b") as file:
                self._copy(key, _Window(file, start), start, str(min(start + step, size) - 1))

        if size:
            _all(part, range(0, size, step))
        if path.stat().st_size != size:
            raise changed(self.name(key))

    def delete(self, key: str) -> None:
        """No error if it is not there."""
        self._insist(
            self.name(key),
            lambda: self._client().delete_object(Bucket=self.bucket, Key=self._key(key)),
        )

    def tidy(self) -> None:
        """Give up uploads in parts that nobody completed within a day; they cost as objects do."""
        base = f"{self.prefix}/" if self.prefix else ""

        def look() -> list[Any]:
            told = self._client().list_multipart_uploads(Bucket=self.bucket, Prefix=base)
            return list(told.get("Uploads", ()))

        try:
            found = self._insist(self.uri, look)
        except NotFound:
            return  # a server that lists none
        for one in found:
            if datetime.now(UTC) - one["Initiated"] > STALE:
                self._abort(one["Key"], one["UploadId"])

    def _put(self, key: str, data: bytes, **more: Any) -> None:
        self._insist(
            self.name(key),
            lambda: self._client().put_object(
                Bucket=self.bucket, Key=self._key(key), Body=data, **more
            ),
        )

    def _claim(self, key: str, data: bytes) -> None:
        from botocore.exceptions import ClientError

        if self.size(key) is not None:
            raise _taken(self.name(key))
        tries = 0

        def ask() -> bool:
            nonlocal tries
            tries += 1
            try:
                self._client().put_object(
                    Bucket=self.bucket, Key=self._key(key), Body=data, IfNoneMatch="*"
                )
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code in IGNORANT:
                    return False
                if code in TAKEN:
                    raise _taken(self.name(key)) from None
                raise
            return True

        try:
            known = self._insist(self.name(key), ask)
        except StorageError:
            # Ours may have arrived although the answer to it did not.
            if tries > 1 and self.size(key) == len(data) and self.read(key) == data:
                return
            raise
        if not known:
            self._put(key, data)

    def _in_parts(self, key: str, size: int, read: Callable[[int, int], bytes]) -> None:
        """What is not completed is given up, so that it does not stay and cost."""
        name, at, step = self.name(key), self._key(key), _step(size)
        begun = self._insist(
            name, lambda: self._client().create_multipart_upload(Bucket=self.bucket, Key=at)
        )
        upload = begun["UploadId"]

        def send(start: int) -> dict[str, Any]:
            number, data = start // step + 1, read(start, min(step, size - start))
            if len(data) != min(step, size - start):
                raise StorageError(f"what is copied to {name} changed meanwhile", where=name)
            told = self._insist(
                name,
                lambda: self._client().upload_part(
                    Bucket=self.bucket, Key=at, UploadId=upload, PartNumber=number, Body=data
                ),
            )
            return {"PartNumber": number, "ETag": told["ETag"]}

        try:
            parts = _all(send, range(0, size, step))
            self._complete(key, upload, parts, size)
        except BaseException:
            self._abort(at, upload)
            raise

    def _complete(self, key: str, upload: str, parts: list[dict[str, Any]], size: int) -> None:
        from botocore.exceptions import ClientError

        tries = 0

        def ask() -> None:
            nonlocal tries
            tries += 1
            try:
                self._client().complete_multipart_upload(
                    Bucket=self.bucket,
                    Key=self._key(key),
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                )
            except ClientError as error:
                # It was completed the first time, and the answer was lost.
                done = tries > 1 and error.response.get("Error", {}).get("Code") == "NoSuchUpload"
                if not (done and self.size(key) == size):
                    raise

        self._insist(self.name(key), ask)

    def _abort(self, at: str, upload: str) -> None:
        try:
            self._client().abort_multipart_upload(Bucket=self.bucket, Key=at, UploadId=upload)
        except Exception:
            return  # `tidy` or the bucket's own rule removes it


class _Window:
    """A file from `start` on, as `_copy` writes one: its end is not the file's."""

    def __init__(self, file: Any, start: int) -> None:
        self.file, self.start = file, start

    def seek(self, place: int) -> None:
        self.file.seek(self.start + place)

    def write(self, data: bytes) -> None:
        self.file.write(data)

    def truncate(self) -> None:
        self.file.flush()


def _all(work: Callable[[int], Any], starts: range) -> list[Any]:
    """In order; the first that fails is raised, and what was not begun is left out."""
    with ThreadPoolExecutor(min(AT_ONCE, len(starts))) as pool:
        waiting = [pool.submit(work, start) for start in starts]
        try:
            return [one.result() for one in waiting]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _step(size: int) -> int:
    """Bytes of a part, a multiple of `PART`."""
    return PART * -(-size // (PART * PARTS_AT_MOST)) or PART


def _taken(name: str) -> StorageError:
    return StorageError(f"{name} is already there", where=name)
