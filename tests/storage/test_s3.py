"""Reading from servers that speak S3, and from such as stumble."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from ganlib.errors import ConfigError, NotFound, StorageError
from ganlib.storage import S3Reader
from ganlib.storage import s3 as s3_module
from tests.s3 import S3Server, free_port

BYTES = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def shelf(s3_server: S3Server) -> str:
    bucket = s3_server.bucket("shelf")
    s3_server.put(bucket, "set/shards/one", BYTES)
    s3_server.put(bucket, "set/manifest.json", b"{}")
    s3_server.put(bucket, "settled", b"not in set/")
    return f"s3://{bucket}/set"


def test_objects_are_read_whole_in_pieces_and_into_files(s3: S3Server, shelf: str) -> None:
    reader = S3Reader(shelf + "/")
    assert reader.uri == shelf
    assert reader.list() == ["manifest.json", "shards/one"]
    assert reader.list("shards/") == ["shards/one"]
    assert reader.read("manifest.json") == b"{}"
    assert reader.read_range("shards/one", 300, 1000) == BYTES[300:1300]
    assert reader.read_range("shards/one", len(BYTES) - 3, 100) == BYTES[-3:]
    file = io.BytesIO(b"what was there before" * 1000)
    reader.fetch("shards/one", file)
    assert file.getvalue() == BYTES


def test_what_is_not_there_is_named(s3: S3Server, shelf: str) -> None:
    with pytest.raises(NotFound, match="s3://shelf/set/nowhere"):
        S3Reader(shelf).read("nowhere")
    with pytest.raises(NotFound, match="s3://no-such-bucket/x"):
        S3Reader("s3://no-such-bucket").read("x")
    with pytest.raises(StorageError, match="not a key"):
        S3Reader(shelf).read("../settled")


def test_a_wrong_secret_is_told_at_once(
    s3: S3Server, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if s3.name == "moto":
        pytest.skip("moto looks at no signature")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    before = time.monotonic()
    with pytest.raises(StorageError, match="right to read"):
        S3Reader(shelf).read("manifest.json")
    assert time.monotonic() - before < 5


def test_no_credentials_are_asked_for(
    s3: S3Server, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(StorageError, match="AWS_ACCESS_KEY_ID"):
        S3Reader(shelf).read("manifest.json")


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "gs://b/x", "folder"])
def test_uris(uri: str) -> None:
    with pytest.raises(ConfigError, match="bucket/prefix"):
        S3Reader(uri)


class Stumbling(BaseHTTPRequestHandler):
    """Busy, then gone in the middle of an answer, then well."""

    answers = 0

    def do_GET(self) -> None:
        turn, Stumbling.answers = Stumbling.answers, Stumbling.answers + 1
        self.send_response(503 if turn == 0 else 200)
        self.send_header("Content-Length", "0" if turn == 0 else str(len(BYTES)))
        self.end_headers()
        if turn:
            self.wfile.write(BYTES if turn > 1 else BYTES[:100])
        self.close_connection = True

    def log_message(self, *told: Any) -> None: ...


class Breaking(BaseHTTPRequestHandler):
    """Gives a thousand bytes of what is asked for, slowly, and breaks off."""

    asked: ClassVar[list[tuple[int, int]]] = []

    def do_GET(self) -> None:
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, stop = int(first), int(last or len(BYTES) - 1) + 1
        Breaking.asked.append((start, stop))
        time.sleep(0.15)
        self.send_response(206)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(BYTES)}")
        self.end_headers()
        self.wfile.write(BYTES[start : min(start + 1000, stop)])
        self.close_connection = True

    def log_message(self, *told: Any) -> None: ...


class Changing(Breaking):
    """Is another object from the second answer on."""

    def end_headers(self) -> None:
        self.send_header("ETag", f'"{min(len(Breaking.asked), 2)}"')
        super().end_headers()


@contextmanager
def served(by: type[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), by)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    S3Server("stumbling", f"http://127.0.0.1:{server.server_port}").use(monkeypatch)
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def stumbling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Stumbling.answers = 0
    with served(Stumbling, monkeypatch):
        yield


@pytest.mark.parametrize(("start", "count"), [(0, len(BYTES)), (700, 5000)])
def test_a_slow_line_that_breaks_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, start: int, count: int
) -> None:
    """All of it takes longer than the deadline, which is for a server that says nothing."""
    monkeypatch.setattr(s3_module, "PIECE", 100)
    Breaking.asked.clear()
    with served(Breaking, monkeypatch):
        reader, before = S3Reader("s3://b", deadline=0.6), time.monotonic()
        found = reader.read_range("x", start, count)
        assert time.monotonic() - before > 0.6
    assert found == BYTES[start : start + count]
    stop = start + count
    assert Breaking.asked[:3] == [(start + n, stop) for n in (0, 1000, 2000)]


def test_two_versions_are_not_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    Breaking.asked.clear()
    with (
        served(Changing, monkeypatch),
        pytest.raises(StorageError, match="s3://b/x changed while it was read"),
    ):
        S3Reader("s3://b", deadline=5).read("x")
    assert len(Breaking.asked) == 2


@pytest.mark.parametrize("into_file", [False, True])
def test_a_server_that_stumbles_is_asked_again(stumbling: None, into_file: bool) -> None:
    reader, file = S3Reader("s3://b"), io.BytesIO()
    if into_file:
        reader.fetch("x", file)
    found = file.getvalue() if into_file else reader.read("x")
    assert found == BYTES
    assert Stumbling.answers == 3


def test_a_server_that_is_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    S3Server("nobody", f"http://127.0.0.1:{free_port()}").use(monkeypatch)
    before = time.monotonic()
    with pytest.raises(StorageError, match=r"s3://b/x cannot be reached.*\n.*AWS_ENDPOINT_URL_S3"):
        S3Reader("s3://b", deadline=1.0).read("x")
    assert 0.5 < time.monotonic() - before < 5
