"""A folder with its twin in a bucket, and files that go there and back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ganlib.errors import Damaged, NotFound, StorageError
from ganlib.storage import Home, LocalStore, Mirrored, S3Store, copies, mirrored
from ganlib.storage import twins as module
from ganlib.training.snapshots import Snapshots
from tests.faulty import Faults, faulty
from tests.s3 import S3Server, rclone

BELONGS = {"config": {"seed": 1}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone(tmp_path_factory.mktemp("rclone")) as one:
        one.bucket("twin")
        yield one


@pytest.fixture
def place(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    server.use(monkeypatch)
    uri = f"s3://twin/{tmp_path.name}"
    monkeypatch.setenv("GANLIB_MIRROR", uri)
    return uri


def saved(folder: Path, *clocks: int) -> Snapshots:
    snapshots = Snapshots(mirrored(folder), keep=2)
    for clock in clocks:
        snapshots.save(clock, {"w": torch.full((3,), float(clock))}, BELONGS, {})
    return snapshots


def test_a_machine_with_an_empty_disk_goes_on(place: str, tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    folder = home.runs / "gan-1" / "snapshots"
    saved(folder, 100, 200, 300)
    twin = S3Store(f"{place}/runs/gan-1/snapshots")
    assert twin.list() == LocalStore(folder).list()
    assert len(twin.list()) == 4  # the oldest went from both
    shutil.rmtree(folder)
    found = Snapshots(mirrored(folder)).latest(BELONGS)
    assert found is not None
    assert (found.clock, found.state["w"].tolist()) == (300, [300.0] * 3)


def test_a_damaged_twin_is_passed_over_by_name(
    place: str, server: S3Server, tmp_path: Path
) -> None:
    folder = Home.open(tmp_path / "home").runs / "gan-1" / "snapshots"
    saved(folder, 100, 200)
    twin = S3Store(f"{place}/runs/gan-1/snapshots")
    twin.write("000000000200/state.safetensors", b"cut")
    shutil.rmtree(folder)
    notes: list[str] = []
    found = Snapshots(mirrored(folder)).latest(BELONGS, notes.append)
    assert found is not None
    assert found.clock == 100
    assert "000000000200/state.safetensors is damaged" in notes[0]


def test_without_a_place_or_a_home_nothing_is_mirrored(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(mirrored(tmp_path / "elsewhere"), LocalStore)
    home = Home.open(tmp_path / "home")
    assert isinstance(mirrored(home.runs / "one"), Mirrored)
    monkeypatch.delenv("GANLIB_MIRROR")
    assert isinstance(mirrored(home.runs / "one"), LocalStore)


def test_a_bucket_that_goes_away_stops_no_training(
    place: str, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = False
    faults = Faults(lambda number, method, headers: "busy" if away else "")
    monkeypatch.setattr(module, "DEADLINE_S", 0.3)
    folder = Home.open(tmp_path / "home").runs / "gan-1" / "snapshots"
    with faulty(server, faults) as front:
        front.use(monkeypatch)
        snapshots = saved(folder, 100)
        away = True
        snapshots.save(200, {"w": torch.zeros(3)}, BELONGS, {})
        before = len(faults.asked)
        snapshots.save(300, {"w": torch.zeros(3)}, BELONGS, {})
        assert len(faults.asked) == before  # it is left alone for a while
        assert snapshots.clocks()[-2:] == [200, 300]
        with pytest.raises(StorageError, match="cannot be reached"):  # who begins must know
            Snapshots(mirrored(folder)).latest(BELONGS)


def files(root: Path) -> dict[str, bytes]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def shelf(place: str, tmp_path: Path) -> tuple[Path, S3Store]:
    """A folder of three files, pushed."""
    root = tmp_path / "root"
    for name, data in {"a/one": b"1", "a/two": b"2" * 9_000_000, "b/three": b""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    store = S3Store(place)
    assert copies.push(root, sorted(files(root)), store) == copies.Copied(3, 9_000_001, 0)
    return root, store


def test_files_go_there_and_back_once(shelf: tuple[Path, S3Store], tmp_path: Path) -> None:
    root, store = shelf
    (root / "a/one").write_bytes(b"one")
    assert copies.push(root, sorted(files(root)), store) == copies.Copied(1, 3, 2)
    back = tmp_path / "back"
    assert copies.pull(back, store, lambda name, size: True).files == 3
    assert files(back) == files(root)
    assert copies.pull(back, store, lambda name, size: True) == copies.Copied(0, 0, 3)
    (back / "a/one").write_bytes(b"other")
    assert copies.pull(back, store, lambda name, size: name.startswith("a/")).files == 1
    assert files(back) == files(root)


def test_what_is_not_what_was_written_does_not_appear(
    shelf: tuple[Path, S3Store], tmp_path: Path
) -> None:
    _, store = shelf
    store.write("a/two", b"2" * 8_999_999 + b"3")
    with pytest.raises(Damaged, match="a/two is damaged: its checksum"):
        copies.pull(tmp_path / "back", store, lambda name, size: name == "a/two")
    assert files(tmp_path / "back") == {}


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", ""])
def test_names_cannot_leave_the_folder(
    shelf: tuple[Path, S3Store], tmp_path: Path, name: str
) -> None:
    _, store = shelf
    store.write(copies.INDEX, _index({name: {"bytes": 1, "sha256": "0" * 64}}))
    with pytest.raises(StorageError, match="not a key inside the store"):
        copies.pull(tmp_path / "back", store, lambda name, size: True)
    assert not (tmp_path / "out").exists()


def test_a_link_leads_nowhere(shelf: tuple[Path, S3Store], tmp_path: Path) -> None:
    _, store = shelf
    back = tmp_path / "back"
    back.mkdir()
    (tmp_path / "outside").mkdir()
    (back / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match="leads out of"):
        copies.pull(back, store, lambda name, size: True)
    assert files(tmp_path / "outside") == {}


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"format": 1}', b'{"format": 1, "files": {"a": 1}}']
)
def test_a_damaged_index_is_named(shelf: tuple[Path, S3Store], tmp_path: Path, text: bytes) -> None:
    _, store = shelf
    store.write(copies.INDEX, text)
    with pytest.raises(Damaged, match=r"index\.json is damaged"):
        copies.pull(tmp_path / "back", store, lambda name, size: True)


def test_nothing_was_pushed(place: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"holds no index\.json"):
        copies.pull(tmp_path, S3Store(place), lambda name, size: True)


def _index(files: dict[str, Any]) -> bytes:
    import json

    return json.dumps({"format": 1, "files": files}).encode()
