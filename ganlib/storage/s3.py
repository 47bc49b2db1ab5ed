"""The reading half of S3: objects below a prefix, whole, in pieces or into a file.

Credentials, region and endpoint are found as AWS's own tools find them (AWS_ACCESS_KEY_ID,
AWS_PROFILE, AWS_ENDPOINT_URL_S3 before AWS_ENDPOINT_URL, ...); none of it is ever a setting here.
Credentials that expired are looked for once more: who renews them writes them where they were.
"""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from ganlib.errors import ConfigError, NotFound, StorageError
from ganlib.storage.stores import safe

CONNECTIONS = 16  # at a time: small pieces wait for the network, not for the processor
DEADLINE = 120.0  # seconds until a server that does not answer is given up
CONNECT, READ = 5, 30  # seconds that one attempt may take to connect, and to be silent
PIECE = 1 << 20
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
GONE = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
# Answers of a server that is busy or being restarted; the next attempt may well succeed.
BUSY = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests", "429"}
RIGHTS = "has this key the right to read and write there?"
HINTS = {
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID is not known there",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID: has this "
    "key the right to read there?",
    "RequestTimeTooSkewed": "set this machine's clock: it differs from the server's by minutes",
} | dict.fromkeys(EXPIRED, "renew the credentials that AWS_SESSION_TOKEN or AWS_PROFILE stand for")

Answer = TypeVar("Answer")


class Sink(Protocol):
    """What bytes of an object go into, from its beginning."""

    def seek(self, place: int, /) -> Any: ...

    def write(self, data: bytes, /) -> Any: ...

    def truncate(self) -> Any: ...


@dataclass(frozen=True)
class Entry:
    """One object of a listing: bytes, and what changes whenever its content does."""

    key: str
    size: int
    etag: str


class S3Reader:
    """Objects at `uri`, s3://bucket/prefix; safe to use from several threads."""

    def __init__(self, uri: str, *, deadline: float = DEADLINE) -> None:
        """Asks nothing yet. Raises ConfigError for what is no s3:// URI."""
        scheme, _, rest = uri.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise ConfigError(f"{uri!r} is not s3://bucket/prefix", where=uri)
        self.bucket, self.prefix = bucket, prefix.strip("/")
        self.deadline = deadline
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def name(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._key(key)}"

    def read(self, key: str) -> bytes:
        """Raises NotFound, and StorageError when the server refuses or does not answer in time."""
        file = io.BytesIO()
        self._copy(key, file)
        return file.getvalue()

    def size(self, key: str) -> int | None:
        """Bytes of the object; none where there is none. Raises StorageError."""
        try:
            told = self._insist(
                self.name(key),
                lambda: self._client().head_object(Bucket=self.bucket, Key=self._key(key)),
            )
        except NotFound:
            return None
        return int(told["ContentLength"])

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Bytes [start, start + length); fewer where the object ends. Raises as `read` does."""
        file = io.BytesIO()
        self._copy(key, file, start, str(start + length - 1))
        return file.getvalue()

    def fetch(self, key: str, file: BinaryIO, etag: str = "") -> None:
        """The whole object into `file`, a piece at a time. Raises as `read` does.

        And StorageError where the object is no longer that of `etag`, as a listing told it. The
        file is shortened at the end only, so that room taken for it stays taken.
        """
        self._copy(key, file, etag=etag)

    def list(self, prefix: str = "") -> list[str]:
        """All keys that start with `prefix`, sorted. Raises StorageError."""
        return [one.key for one in self.entries(prefix)]

    def entries(self, prefix: str = "") -> Sequence[Entry]:
        """All objects whose keys start with `prefix`, by key. Raises StorageError."""
        base = f"{self.prefix}/" if self.prefix else ""

        def pages() -> Sequence[Entry]:
            pages = self._client().get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self.bucket, Prefix=base + prefix)
            return [
                Entry(item["Key"].removeprefix(base), int(item["Size"]), item["ETag"].strip('"'))
                for page in found
                for item in page.get("Contents", ())
            ]

        return sorted(
            self._insist(f"s3://{self.bucket}/{base}{prefix}", pages), key=lambda one: one.key
        )

    def local(self, key: str) -> Path | None:
        return None

    def _copy(self, key: str, file: Sink, first: int = 0, last: str = "", etag: str = "") -> None:
        """Bytes `first` to `last` of the object, or to its end; all of one version of it.

        Where an answer broke off the next one goes on, and what is new starts the deadline anew:
        it is there for a server that is silent, not for a line that is slow.
        """
        patience, done, most = _Patience(self.deadline), 0, 0

        def ask() -> None:
            nonlocal done, most, etag
            start = first + done
            span = {"Range": f"bytes={start}-{last}"} if start or last else {}
            answer = self._get(self._key(key), **span)
            found = str(answer.get("ETag", "")).strip('"')
            if etag and found and found != etag:
                raise changed(self.name(key))
            etag = found
            if "ContentRange" not in answer:  # some servers give all of it whatever is asked
                done = 0
            file.seek(done)
            for piece in answer["Body"].iter_chunks(PIECE):
                file.write(piece)
                done += len(piece)
                if done > most:
                    most = done
                    patience.heard()
            file.truncate()

        self._insist(self.name(key), ask, patience)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{safe(key)}" if self.prefix else safe(key)

    def _get(self, key: str, **more: Any) -> Any:
        return self._client().get_object(Bucket=self.bucket, Key=key, **more)

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = connect()
            return self._made

    def _insist(
        self, name: str, ask: Callable[[], Answer], patience: _Patience | None = None
    ) -> Answer:
        """What `ask` gives, asked again with growing pauses until the deadline."""
        patience, renewed = patience or _Patience(self.deadline), False
        while True:
            try:
                return ask()
            except Exception as error:
                if not renewed and _expired(error):
                    renewed = True
                    with self._lock:
                        self._made = None
                    continue
                told = _explain(error, name)
                if told is error:
                    raise
                if told is not None:
                    raise told from error
                if not patience.wait():
                    raise StorageError(
                        f"{name} cannot be reached: {error}",
                        where=name,
                        hint=f"the server did not answer for {self.deadline:g} seconds; "
                        "is AWS_ENDPOINT_URL_S3 right?",
                    ) from error


def changed(name: str) -> StorageError:
    """For an object that is not all of one version; worth another try."""
    return StorageError(f"{name} changed while it was read", where=name, hint="run it again")


class _Patience:
    """With a server that may be silent for so many seconds, since it was last heard."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.heard()

    def heard(self) -> None:
        self.last = time.monotonic() + self.seconds
        self.pause = 0.1

    def wait(self) -> bool:
        """Longer each time; false, at once, where that would be too long."""
        if time.monotonic() + self.pause > self.last:
            return False
        # Workers that were refused together do not come back together.
        time.sleep(self.pause * random.uniform(0.5, 1.0))
        self.pause = min(2 * self.pause, 5.0)
        return True


def connect() -> Any:
    """A client of the server that AWS's variables name. Raises ConfigError."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    def client(**more: Any) -> Any:
        return boto3.session.Session().client(
            "s3",
            config=Config(
                connect_timeout=CONNECT,
                read_timeout=READ,
                max_pool_connections=CONNECTIONS,
                # Other servers than Amazon's answer the newer default with an error.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 1},  # _insist asks again, with a deadline
                **more,
            ),
        )

    try:
        made = client()
        if "amazonaws.com" in made.meta.endpoint_url:
            return made
        # A server of one's own has no name for each bucket.
        return client(s3={"addressing_style": "path"})
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(
            f"S3 cannot be used: {error}", where="S3", hint="look at your AWS_ variables"
        ) from error


def _expired(error: Exception) -> bool:
    from botocore.exceptions import ClientError

    code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else ""
    return code in EXPIRED


def _explain(error: Exception, name: str) -> Exception | None:
    """The error as one of ours, or none if asking again may help."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
        PartialCredentialsError,
    )
    from botocore.exceptions import ConnectionError as Unconnected

    if isinstance(error, Unconnected | HTTPClientError | IncompleteReadError):
        return None
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return StorageError(
            f"{name} cannot be used: {error}",
            where=name,
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        )
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "NoSuchBucket":
            hint = "make the bucket, or name another: aws s3 mb s3://BUCKET"
            return NotFound(f"{name} is not there: there is no such bucket", where=name, hint=hint)
        if code in GONE or status == 404:
            return NotFound(f"{name} is not there", where=name)
        if code in BUSY or status >= 500 or status == 429:
            return None
        hint = HINTS.get(code) or (RIGHTS if status in (401, 403) else "")
        return StorageError(f"{name} cannot be used: {error}", where=name, hint=hint)
    if isinstance(error, BotoCoreError):
        return StorageError(f"{name} cannot be used: {error}", where=name)
    return error
