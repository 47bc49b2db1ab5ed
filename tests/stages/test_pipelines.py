"""A pipeline run's identity survives the death of its process, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ganlib.config import PipelineConfig
from ganlib.errors import Collapsed, DataError, Diverged, NotFound
from ganlib.stages import pipelines
from ganlib.storage import Home
from ganlib.training import read_journal

CONFIG = PipelineConfig(name="tiny")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def begun_by_a_dead_process(home: Home, name: str = "tiny") -> str:
    code = (
        "import os, signal, sys\n"
        "from ganlib.config import PipelineConfig\n"
        "from ganlib.stages import pipelines\n"
        "from ganlib.storage import Home\n"
        "home = Home.open(sys.argv[1])\n"
        "config = PipelineConfig(name=sys.argv[2])\n"
        "print(pipelines.begin(home, config, command='run'), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.root), name], capture_output=True, text=True
    )
    assert done.returncode == -9, done.stderr
    return done.stdout.strip()


def test_the_same_command_continues_what_a_dead_process_left(home: Home) -> None:
    left = begun_by_a_dead_process(home)
    assert pipelines.begin(home, CONFIG, command="run") == left
    opens = [x for x in read_journal(pipelines.journal_path(home, left)) if x["kind"] == "open"]
    assert [line["attempt"] for line in opens] == [1, 2]


def test_another_command_configuration_or_fresh_gets_its_own(home: Home) -> None:
    left = begun_by_a_dead_process(home)
    others = {
        pipelines.begin(home, CONFIG, command="prepare"),
        pipelines.begin(home, CONFIG, command="run", fresh=True),
        pipelines.begin(home, PipelineConfig(name="other"), command="run"),
    }
    assert len(others) == 3
    assert left not in others


def test_a_finished_one_is_not_continued(home: Home) -> None:
    first = pipelines.begin(home, CONFIG, command="run")
    pipelines.finish(home, first, "FINISHED", "promoted")
    assert pipelines.begin(home, CONFIG, command="run") != first


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_one_that_ended_badly_is_continued(home: Home, status: pipelines.Status) -> None:
    first = pipelines.begin(home, CONFIG, command="run")
    pipelines.finish(home, first, status)
    assert pipelines.begin(home, CONFIG, command="run") == first


def test_one_that_still_runs_is_left_alone(home: Home) -> None:
    first = pipelines.begin(home, CONFIG, command="run")
    assert pipelines.begin(home, CONFIG, command="run") != first


def test_finishing_twice_keeps_the_first_truth(home: Home) -> None:
    run = pipelines.begin(home, CONFIG, command="run")
    pipelines.finish(home, run, "FAILED", "failed")
    pipelines.finish(home, run, "FINISHED", "promoted")
    closes = [x for x in read_journal(pipelines.journal_path(home, run)) if x["kind"] == "close"]
    assert [line["status"] for line in closes] == ["FAILED"]


@pytest.mark.parametrize(
    ("error", "status", "verdict"),
    [
        (KeyboardInterrupt(), "KILLED", "interrupted"),
        (SystemExit(130), "KILLED", "interrupted"),
        (Diverged(640, "loss"), "FAILED", "diverged"),
        (Collapsed(640, "collapsed (pixels/repeated)"), "FAILED", "collapsed"),
        (DataError("no images"), "FAILED", "failed"),
        (ValueError("odd"), "FAILED", "failed"),
    ],
)
def test_a_block_ends_with_the_truth(
    home: Home, error: BaseException, status: str, verdict: str
) -> None:
    run = pipelines.begin(home, CONFIG, command="run")
    with pytest.raises(type(error)), pipelines.closing(home, run):
        raise error
    found = pipelines.read(home, run)
    assert found.status == status
    last = list(read_journal(pipelines.journal_path(home, run)))[-1]
    assert (last["status"], last["verdict"]) == (status, verdict)


def test_an_unknown_id_is_named(home: Home) -> None:
    with pytest.raises(NotFound, match="p-000000000000"):
        pipelines.read(home, "p-000000000000")


def test_a_damaged_file_hides_only_itself(home: Home) -> None:
    run = pipelines.begin(home, CONFIG, command="run")
    (pipelines.folder(home) / "p-aaaaaaaaaaaa.json").write_text("{")
    assert [p.id for p in pipelines.everyone(home)] == [run]


def test_a_flow_run_that_is_tried_again_continues_its_own(home: Home) -> None:
    """Its process may have died on another host, whose silence would tell only after minutes."""
    left = pipelines.begin(home, CONFIG, command="run", flow_run_id="f-1")
    assert pipelines.begin(home, CONFIG, command="run", flow_run_id="f-1") == left
    assert pipelines.begin(home, CONFIG, command="run", flow_run_id="f-2") != left
    assert pipelines.begin(home, CONFIG, command="run") != left
