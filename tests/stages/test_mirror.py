"""A home's work in a bucket, and in a home again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ganlib.config import load, overlay
from ganlib.data import Dataset
from ganlib.errors import Busy, ConfigError
from ganlib.stages import mirror
from ganlib.storage import Home, LocalStore, S3Store, holding
from ganlib.training.snapshots import Snapshots
from tests.s3 import S3Server, rclone


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone(tmp_path_factory.mktemp("rclone")) as one:
        one.bucket("homes")
        yield one


def test_data_reports_and_snapshots_come_back(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ganlib.data import prepare

    server.use(monkeypatch)
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    home = Home.open(tmp_path / "home")
    dataset = prepare(overlay(load("digits"), {"data.size": 8}).data, home.data)
    report = home.runs / "evaluate-1" / "report.html"
    report.parent.mkdir()
    report.write_text("<html>")
    (home.runs / ".hidden").write_text("secret")
    kept = Snapshots(LocalStore(home.runs / "gan-1" / "snapshots"))
    kept.save(64, {"w": torch.ones(2)}, {"a": 1}, {})
    pushed = mirror.push(home, "s3://homes/one")
    assert pushed.snapshots == 1
    again = mirror.push(home, "s3://homes/one")
    assert (again.files, again.snapshots, again.kept) == (0, 0, pushed.files)

    shutil.rmtree(home.root)
    back = Home.open(tmp_path / "home")
    pulled = mirror.pull(back, "s3://homes/one")
    assert (pulled.files, pulled.snapshots, pulled.bytes) == (pushed.files, 1, pushed.bytes)
    assert report.read_text() == "<html>"
    assert not (back.runs / ".hidden").exists()
    found = Dataset.open(back.data, dataset.fingerprint)
    assert torch.equal(found.load("train").image_NHWC, dataset.load("train").image_NHWC)
    snapshot = kept.latest({"a": 1})
    assert snapshot is not None
    assert snapshot.clock == 64
    # The mirror is also where workers without the home's disk read.
    copy = Dataset.open_copy("s3://homes/one/data", dataset.fingerprint, 10**9)
    assert copy.fingerprint == dataset.fingerprint


def test_a_place_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANLIB_MIRROR", raising=False)
    with pytest.raises(ConfigError, match="no place is named") as caught:
        mirror.push(Home.open(tmp_path / "home"))
    assert "GANLIB_MIRROR" in caught.value.hint


@pytest.fixture
def full(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    """A report and two snapshots."""
    server.use(monkeypatch)
    home = Home.open(tmp_path / "home")
    (home.runs / "evaluate-1").mkdir()
    (home.runs / "evaluate-1" / "report.html").write_text("<html>")
    kept = Snapshots(LocalStore(home.runs / "gan-1" / "snapshots"))
    for clock in (64, 128):
        kept.save(clock, {"w": torch.ones(2)}, {"a": 1}, {})
    return home


def test_what_another_run_lets_go_meanwhile_is_passed_over(
    full: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = S3Store.upload
    first = full.runs / "gan-1" / "snapshots" / f"{64:012d}"

    def slow(self: S3Store, key: str, path: Path) -> None:
        if path.name == "report.html":
            path.unlink()
        upload(self, key, path)
        if path.parent == first:
            shutil.rmtree(first)

    monkeypatch.setattr(S3Store, "upload", slow)
    pushed = mirror.push(full, "s3://homes/moving")
    assert pushed.snapshots == 1
    there = S3Store("s3://homes/moving").list()
    assert not [key for key in there if "report.html" in key or first.name in key]
    assert [key for key in there if f"{128:012d}" in key]


def test_a_journal_that_says_more_here_than_there_stays(full: Home) -> None:
    journal = full.spool / "p-1.jsonl"
    journal.write_text("one\n")
    mirror.push(full, "s3://homes/journals")
    journal.write_text("one\ntwo\n")
    (full.runs / "evaluate-1" / "report.html").write_text("damaged")
    mirror.pull(full, "s3://homes/journals")
    assert journal.read_text() == "one\ntwo\n"
    assert (full.runs / "evaluate-1" / "report.html").read_text() == "<html>"
    journal.unlink()
    mirror.pull(full, "s3://homes/journals")
    assert journal.read_text() == "one\n"


def test_two_do_not_mirror_at_once(full: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "WAIT_S", 0.0)
    with holding(full.locks / "mirror.lock", "mirroring"), pytest.raises(Busy, match="mirroring"):
        mirror.push(full, "s3://homes/busy")
