"""Writing to servers that speak S3, large objects in parts, through faults of all kinds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ganlib.errors import NotFound, StorageError
from ganlib.storage import S3Store, open_store
from ganlib.storage import s3_store as module
from tests.faulty import Faults, faulty
from tests.s3 import S3Server, rclone

MB = 1 << 20
LARGE = bytes(range(256)) * (17 * MB // 256) + b"the end"


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.bucket("written")


def test_what_is_written_is_read_listed_and_deleted(s3: S3Server, bucket: str) -> None:
    store = open_store(f"s3://{bucket}/a")
    store.write("x/one", b"1")
    store.write("x/one", b"one")
    store.write("two", b"")
    assert (store.read("x/one"), store.read("two")) == (b"one", b"")
    assert store.list() == ["two", "x/one"]
    store.delete("x/one")
    store.delete("x/one")
    assert store.list() == ["two"]
    with pytest.raises(StorageError, match="not a key"):
        store.write("../b", b"")
    store.tidy()


def test_a_taken_key_is_not_written_again(s3: S3Server, bucket: str) -> None:
    store = open_store(f"s3://{bucket}/b")
    store.write("one", b"first", if_absent=True)
    with pytest.raises(StorageError, match="already there"):
        store.write("one", b"second", if_absent=True)
    assert store.read("one") == b"first"


def test_of_many_writers_at_once_one_wins(s3: S3Server, bucket: str) -> None:
    if s3.name == "rclone":
        pytest.skip("rclone knows no conditional writes")
    won: list[int] = []

    def claim(number: int) -> None:
        try:
            S3Store(f"s3://{bucket}/c").write("one", b"%d" % number, if_absent=True)
        except StorageError:
            return
        won.append(number)

    threads = [threading.Thread(target=claim, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert S3Store(f"s3://{bucket}/c").read("one") == b"%d" % won[0]


def test_large_files_go_in_parts_and_come_back(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    store = S3Store(f"s3://{bucket}/d")
    (tmp_path / "large").write_bytes(LARGE)
    store.upload("large", tmp_path / "large")
    told = s3.client().head_object(Bucket=bucket, Key="d/large")
    if s3.name == "moto":  # so many parts; rclone does not tell
        assert told["ETag"].endswith('-3"')
    store.download("large", tmp_path / "back" / "large")
    assert (tmp_path / "back" / "large").read_bytes() == LARGE
    store.write("written", LARGE)
    assert store.size("written") == len(LARGE)
    assert store.read("written") == LARGE
    store.write("empty", b"")
    store.download("empty", tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""
    with pytest.raises(NotFound, match="nowhere"):
        store.download("nowhere", tmp_path / "nothing")


def test_an_upload_that_fails_leaves_nothing(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3Store(f"s3://{bucket}/e")
    file = tmp_path / "large"
    file.write_bytes(LARGE)

    def shrunk(handle: int, count: int, start: int) -> bytes:
        return LARGE[start : start + count][: -1 if start else None]

    monkeypatch.setattr(module.os, "pread", shrunk)
    with pytest.raises(StorageError, match="changed meanwhile"):
        store.upload("large", file)
    assert store.list() == []
    if s3.name == "moto":  # rclone lists none
        assert "Uploads" not in s3.client().list_multipart_uploads(Bucket=bucket)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone(tmp_path_factory.mktemp("rclone-behind")) as server:
        server.bucket("steady")
        yield server


@pytest.fixture
def through(
    steady: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[int, str, Any], str]], Faults]]:
    """Name a server with such faults in AWS's variables."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def put(decide: Callable[[int, str, Any], str]) -> Faults:
            faults = Faults(decide)
            stack.enter_context(faulty(steady, faults)).use(monkeypatch)
            return faults

        yield put


def copy(tmp_path: Path, key: str) -> None:
    """Up and down again, the same bytes."""
    store = S3Store("s3://steady/through", deadline=20)
    (tmp_path / "up").write_bytes(LARGE)
    store.upload(key, tmp_path / "up")
    store.download(key, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == LARGE


def test_a_busy_server_is_waited_for(through: Any, tmp_path: Path) -> None:
    faults = through(lambda number, method, headers: "busy" if number % 3 == 1 else "")
    copy(tmp_path, "busy")
    assert faults.done["busy"] >= 3


def test_answers_that_break_off_are_gone_on_with(through: Any, tmp_path: Path) -> None:
    faults = through(lambda n, method, headers: "truncated" if method == "GET" and n % 2 else "")
    copy(tmp_path, "truncated")
    assert faults.done["truncated"] >= 1


def test_a_slow_line_is_no_fault(through: Any, tmp_path: Path) -> None:
    faults = through(lambda number, method, headers: "slow")
    copy(tmp_path, "slow")
    assert faults.done["slow"] == len(faults.asked)


def test_answers_that_are_lost_do_no_harm(through: Any, tmp_path: Path) -> None:
    """Each request is done the first time, and its answer lost: beginning, parts, completion."""
    lost: set[tuple[str, str]] = set()
    faults: Faults

    def decide(number: int, method: str, headers: Any) -> str:
        request = faults.asked[-1]
        if method == "HEAD" or request in lost:
            return ""
        lost.add(request)
        return "lost"

    faults = through(decide)
    copy(tmp_path, "lost")
    store = S3Store("s3://steady/through", deadline=20)
    store.write("claimed", b"mine", if_absent=True)
    assert store.read("claimed") == b"mine"
    assert faults.done["lost"] >= 5


def test_a_server_that_stays_busy_is_given_up_by_name(through: Any, tmp_path: Path) -> None:
    through(lambda number, method, headers: "busy")
    with pytest.raises(
        StorageError, match=r"s3://steady/x/one cannot be reached.*\n.*0\.5 seconds"
    ):
        S3Store("s3://steady/x", deadline=0.5).write("one", b"1")


def test_a_refusal_is_told_at_once(through: Any) -> None:
    faults = through(lambda number, method, headers: "refused")
    with pytest.raises(StorageError, match=r"AccessDenied.*\n.*right to read and write"):
        S3Store("s3://steady/x").write("one", b"1")
    assert len(faults.asked) == 1


def test_renewed_credentials_are_taken(
    through: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a tool does that writes fresh ones into the shared file every hour."""
    from tests.s3 import KEY, SECRET

    shared = tmp_path / "credentials"

    def renew(token: str) -> None:
        shared.write_text(
            f"[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n"
            f"aws_session_token={token}\n"
        )

    def decide(number: int, method: str, headers: Any) -> str:
        return "" if headers.get("X-Amz-Security-Token") == "fresh" else "expired"

    faults = through(decide)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    renew("old")
    store = S3Store("s3://steady/renewed", deadline=5)
    with pytest.raises(StorageError, match=r"ExpiredToken.*\n.*renew the credentials"):
        store.write("one", b"1")
    assert len(faults.asked) == 2
    renew("fresh")
    store.write("one", b"1")
    assert store.read("one") == b"1"
