"""A run whose process was killed ends as KILLED, in its journal and in MLflow."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ganlib.storage import Home
from ganlib.tracking import reap, reaper, run_of, writing
from ganlib.tracking import writer as tracking_writer
from ganlib.tracking.connection import connect
from ganlib.training import Journal, RunIdentity

CHILD = """
import os, signal, sys
from pathlib import Path
from ganlib.training import Journal, RunIdentity
identity = RunIdentity(id="p-9", key="p-9", experiment="ganlib/x", name="p", stage="pipeline")
journal = Journal(Path(sys.argv[1]) / "p-9.jsonl", identity)
journal.metrics(64, {"loss": 1.0})
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_run(home: Home) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(home.spool)], check=False)
    assert done.returncode == -9


def test_sigkill_becomes_killed_and_a_restart_runs_again(home: Home) -> None:
    killed_run(home)
    with writing(home):  # whoever leads reaps first
        pass
    run = run_of(home, "p-9")
    assert run
    client = connect(home)
    found = client.get_run(run.run_id)
    assert found.info.status == "KILLED"
    assert "ended without a word" in found.data.tags["mlflow.note.content"]
    assert reap(home) == []


def test_who_dies_while_another_process_leads_is_closed_by_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_writer, "REAP_EVERY_S", 0.0)
    with writing(home) as writer:
        home_is_led(home)
        killed_run(home)
        while '"kind":"close"' not in (home.spool / "p-9.jsonl").read_text():
            writer.drain(1)


def test_who_died_until_the_end_is_closed_at_the_end(home: Home) -> None:
    with writing(home):
        home_is_led(home)
        killed_run(home)
    run = run_of(home, "p-9")
    assert run
    assert connect(home).get_run(run.run_id).info.status == "KILLED"


def test_a_run_that_is_continued_while_it_is_looked_at_stays_open(
    home: Home, journal: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal("p-1", pid=2**22 + 1, started=1.0)
    is_dead = reaper._is_dead

    def slow(identity: RunIdentity, last: float) -> bool:
        dead = is_dead(identity, last)
        if dead:
            journal("p-1")
        return dead

    monkeypatch.setattr(reaper, "_is_dead", slow)
    assert reap(home) == []
    assert '"kind":"close"' not in (home.spool / "p-1.jsonl").read_text()


def test_the_living_and_the_closed_are_left_alone(
    home: Home, journal: Callable[..., Journal]
) -> None:
    journal("alive")
    journal("closed", pid=2**22 + 1, started=1.0).close("FINISHED", "done")
    journal("dead", pid=2**22 + 1, started=1.0)
    assert reap(home) == ["dead"]
    assert '"kind":"close"' not in (home.spool / "alive.jsonl").read_text()


def test_another_hosts_run_is_dead_after_long_silence(
    home: Home, journal: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal("far", host="elsewhere")
    assert reap(home) == []
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert reap(home) == ["far"]


def test_a_run_whose_journal_is_gone_does_not_stay_running(
    home: Home, journal: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal("p-1").metrics(1, {"loss": 1.0})
    with writing(home):
        pass
    run = run_of(home, "p-1")
    assert run
    for path in Path(home.spool).glob("p-1*"):
        path.unlink()
    client = connect(home)
    client.set_tag(run.run_id, "ganlib.heartbeat", "2020-01-01T00:00:00+00:00")
    with writing(home):
        home_is_led(home)
    assert client.get_run(run.run_id).info.status == "KILLED"


def home_is_led(home: Home) -> None:
    """Return once the writer has been through its start: something was sent."""
    identity = RunIdentity(
        id="other", key="other", experiment="ganlib/x", name="other", stage="pipeline"
    )
    Journal(home.spool / "other.jsonl", identity)
    with writing(home) as writer:
        assert writer.drain(60)
