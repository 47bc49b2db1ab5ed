"""A home opens where it can, and says what is wrong where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganlib.errors import HomeError
from ganlib.storage import Home


def test_opening_twice_is_the_same_home(tmp_path: Path) -> None:
    assert Home.open(tmp_path / "h") == Home.open(tmp_path / "h")
    assert Home.open(tmp_path / "h").spool.is_dir()


def test_the_environment_names_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLIB_HOME", str(tmp_path / "there"))
    assert Home.open().root == tmp_path / "there"


def test_a_home_has_one_path_however_it_is_spelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Home.open(tmp_path / "h").data)
    monkeypatch.setenv("HOME", str(tmp_path))
    for spelt in ("..", "../../h", "../../nowhere/../h", "~/h"):
        assert Home.open(spelt) == Home.existing(spelt) == Home(tmp_path / "h")


@pytest.mark.parametrize("uri", ["s3://bucket/home", "s3:/bucket/home", "file:///tmp/home"])
def test_a_uri_is_no_folder_called_so(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HomeError, match="is no folder of this machine") as caught:
        Home.open(uri)
    assert "GANLIB_MIRROR" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("x")
    with pytest.raises(HomeError, match="not a folder"):
        Home.open(tmp_path / "h")


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(HomeError, match=r"thesis\.tex"):
        Home.open(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "new"}', '{"format": 999}'])
def test_a_damaged_or_newer_home_is_refused(tmp_path: Path, text: str) -> None:
    root = Home.open(tmp_path / "h").root
    (root / "home.json").write_text(text)
    with pytest.raises(HomeError) as caught:
        Home.open(root)
    assert caught.value.hint


def test_a_home_whose_making_was_killed_is_opened_again(tmp_path: Path) -> None:
    root = tmp_path / "h"
    (root / "spool").mkdir(parents=True)
    (root / ".home.json.k2x9q1").write_text("{")
    assert Home.open(root).stages.is_dir()


def test_format_0_is_migrated_with_its_journals(tmp_path: Path) -> None:
    root = tmp_path / "h"
    (root / "journals").mkdir(parents=True)
    (root / "journals" / "p-1.jsonl").write_text("{}\n")
    (root / "home.json").write_text('{"format": 0}')
    home = Home.open(root)
    assert (home.spool / "p-1.jsonl").read_text() == "{}\n"
    assert json.loads((root / "home.json").read_text())["format"] == 1
