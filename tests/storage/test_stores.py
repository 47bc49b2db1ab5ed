"""Every store keeps the same promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlib.errors import ConfigError, Damaged, NotFound, StorageError
from ganlib.storage import LocalStore, MemoryStore, Store, open_store, read_json


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return LocalStore(tmp_path / "s") if request.param == "local" else MemoryStore()


def test_what_is_written_is_read_listed_and_deleted(store: Store) -> None:
    assert store.list() == []
    store.write("b/2", b"two")
    store.write("a", b"one")
    store.write("b/2", b"TWO")
    assert store.list() == ["a", "b/2"]
    assert store.list("b/") == ["b/2"]
    assert store.read("b/2") == b"TWO"
    store.delete("b/2")
    store.delete("b/2")
    assert store.list() == ["a"]


def test_if_absent_never_overwrites(store: Store) -> None:
    store.write("k", b"1", if_absent=True)
    with pytest.raises(StorageError):
        store.write("k", b"2", if_absent=True)
    assert store.read("k") == b"1"


def test_what_killed_writers_left_is_tidied_away(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("b/2", b"two")
    (tmp_path / "b" / ".2.k2x9q1").write_bytes(b"tw")
    store.tidy()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["2"]
    assert store.read("b/2") == b"two"


def test_a_missing_key_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        store.read("nowhere")


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../x", ""])
def test_keys_cannot_leave_the_store(store: Store, key: str) -> None:
    with pytest.raises(StorageError):
        store.write(key, b"x")
    with pytest.raises(StorageError):
        store.read(key)


def test_uris(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}").uri == str(tmp_path)
    with pytest.raises(ConfigError, match="gopher"):
        open_store("gopher://x")


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"a": ')
    with pytest.raises(Damaged, match=r"r\.json"):
        read_json(tmp_path / "r.json")
