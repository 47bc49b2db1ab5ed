"""The journal survives torn lines, second holders and restarts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ganlib.errors import StorageError
from ganlib.training import Journal, RunIdentity, follow, process_started, read_journal


def identity(**fields: object) -> RunIdentity:
    plain = {"id": "p-1", "key": "p-1/gan/0", "experiment": "ganlib/x", "name": "gan"}
    return RunIdentity.model_validate({**plain, "stage": "gan", **fields})


def test_every_kind_is_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "p-1.jsonl", identity())
    journal.params({"a": 1})
    journal.tags({"b": "2"})
    journal.metrics(64, {"eval/coverage": 0.5})
    journal.image(64, "samples", b"png")
    journal.artifact(tmp_path / "model", "models")
    journal.table("trials", [{"trial": 0}])
    journal.dataset("digits", "abc", "/data")
    journal.note("skipped")
    journal.beat()
    journal.close("FINISHED", "good", "All well.")
    lines = list(read_journal(tmp_path / "p-1.jsonl"))
    assert [line["kind"] for line in lines] == (
        [
            "open",
            "params",
            "tags",
            "metrics",
            "image",
            "artifact",
            "table",
            "dataset",
            "note",
            "beat",
            "close",
        ]
    )
    assert lines[3] | {"t": 0} == {
        "t": 0,
        "kind": "metrics",
        "clock": 64,
        "values": {"eval/coverage": 0.5},
    }
    assert (tmp_path / lines[4]["path"]).read_bytes() == b"png"
    assert json.loads((tmp_path / lines[6]["path"]).read_text()) == [{"trial": 0}]


def test_a_torn_line_is_passed_over_and_the_next_ones_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "p-1.jsonl"
    Journal(path, identity()).metrics(1, {"x": 1.0})
    with path.open("ab") as file:
        file.write(b'{"t":1,"kind":"metr')
    assert [line["kind"] for line in read_journal(path)] == ["open", "metrics"]
    Journal(path, identity()).metrics(2, {"x": 2.0})
    assert [line.get("clock") for line in read_journal(path)] == [None, 1, 2]


def test_a_disk_that_takes_half_a_line_is_told_and_the_next_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "p-1.jsonl"
    journal = Journal(path, identity())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))
    try:
        with pytest.raises(StorageError, match=r"p-1\.jsonl"):
            journal.note("lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.note("kept")
    assert [line.get("text") for line in read_journal(path)] == [None, "kept"]


def test_a_new_owner_is_a_new_attempt_and_a_second_holder_is_none(tmp_path: Path) -> None:
    path = tmp_path / "p-1.jsonl"
    mine = identity()
    Journal(path, mine).beat()
    Journal(path, mine).beat()
    Journal(path, identity(pid=999_999_999, started=1.0)).close("KILLED")
    opens = [line["attempt"] for line in read_journal(path) if line["kind"] == "open"]
    assert opens == [1, 2]
    assert Journal(path, identity(pid=999_999_999, started=1.0)).attempt == 3


def test_following_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "p-1.jsonl"
    journal = Journal(path, identity())
    *_, (_, offset) = follow(path, 0)
    journal.metrics(5, {"x": 1.0})
    journal.metrics(6, {"x": 1.0})
    assert [line["clock"] for line, _ in follow(path, offset)] == [5, 6]


def test_the_owner_is_alive_until_it_is_not(tmp_path: Path) -> None:
    assert identity().owner_alive() is True
    assert identity(host="elsewhere").owner_alive() is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = identity(pid=child.pid, started=process_started(child.pid))
    assert theirs.owner_alive() is True
    child.kill()
    child.wait()
    assert theirs.owner_alive() is False
    assert identity(pid=os.getpid(), started=-1.0).owner_alive() is False
