"""A home's MLflow database survives a kill at any moment of its making."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ganlib.storage import Home
from ganlib.tracking import run_of, writing
from ganlib.tracking.connection import connect
from ganlib.tracking.database import is_unfinished
from ganlib.training import Journal, RunIdentity

CHILD = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from ganlib.storage import Home
from ganlib.tracking import database
from ganlib.tracking.connection import connect

done = 0

@event.listens_for(Engine, "after_cursor_execute")
def count(*args):
    global done
    done += 1
    if done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

place = Path(sys.argv[2])
if sys.argv[1] == "home":
    connect(Home.open(place)).search_experiments()
else:
    database._build(place, place.parent)
"""
STATEMENTS = (2, 300, 900, 1500)
"""When to kill; there are some 1,700 in all."""


def killed(how: str, place: Path, after: int) -> None:
    env = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-c", CHILD, how, str(place), str(after)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr


def used(home: Home) -> None:
    """A run gets through to MLflow."""
    identity = RunIdentity(id="p-1", key="p-1", experiment="ganlib/x", name="p", stage="pipeline")
    journal = Journal(home.spool / "p-1.jsonl", identity)
    journal.metrics(1, {"loss": 0.5})
    with writing(home) as writer:
        assert writer.drain(120), writer.trouble
    run = run_of(home, "p-1")
    assert run
    assert connect(home).get_run(run.run_id).data.metrics == {"loss": 0.5}


@pytest.mark.slow
def test_a_kill_at_any_moment_of_the_first_set_up_leaves_a_home_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home.open(tmp_path / "home")
    for after in STATEMENTS:
        killed("home", home.root, after)
        assert not home.mlflow_db.exists(), "what is there is whole"
    used(home)
    assert sorted(p.name for p in home.root.glob("mlflow*")) == ["mlflow.db"]


@pytest.mark.slow
def test_a_home_that_an_earlier_kill_broke_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home.open(tmp_path / "home")
    for after in STATEMENTS:
        for left in home.root.glob("mlflow*"):
            left.unlink()
        killed("alone", home.mlflow_db, after)
        assert is_unfinished(home.mlflow_db), after
    used(home)
    names = sorted(p.name for p in home.root.glob("mlflow*.db"))
    assert names == ["mlflow-unfinished-1.db", "mlflow.db"]


def test_a_database_that_is_whole_stays_as_it_is(
    home: Home, journal: Callable[..., Journal]
) -> None:
    before = home.mlflow_db.stat().st_ino
    journal("p-2")
    used(home)
    assert not is_unfinished(home.mlflow_db)
    assert home.mlflow_db.stat().st_ino == before


def test_what_is_no_database_is_left_for_its_owner(tmp_path: Path) -> None:
    place = tmp_path / "mlflow.db"
    place.write_bytes(b"something that somebody put here" * 100)
    assert not is_unfinished(place)
