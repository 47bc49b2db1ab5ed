"""The true state of runs, and stopping the right process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganlib.config import PipelineConfig
from ganlib.errors import InputError, NotFound
from ganlib.stages import control, pipelines
from ganlib.stages.status import runs, status
from ganlib.storage import Home
from ganlib.training import Journal, RunIdentity, process_started

CONFIG = PipelineConfig(name="tiny")
WORKER = """
import signal, sys, threading
from ganlib.config import PipelineConfig
from ganlib.stages import pipelines
from ganlib.storage import Home

def stop(number, frame):
    raise KeyboardInterrupt

home = Home.open(sys.argv[1])
if sys.argv[2] == "polite":
    signal.signal(signal.SIGTERM, stop)
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
run = pipelines.begin(home, PipelineConfig(name="tiny"), command="run")
with pipelines.closing(home, run):
    print(run, flush=True)
    while True:
        signal.pause()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


class Running:
    def __init__(self, home: Home, manner: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(home.root), manner], stdout=subprocess.PIPE
        )
        assert self.process.stdout
        self.run = self.process.stdout.readline().decode().strip()


@pytest.fixture
def polite(home: Home) -> Iterator[Running]:
    running = Running(home, "polite")
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture
def stubborn(home: Home) -> Iterator[Running]:
    running = Running(home, "stubborn")
    yield running
    running.process.kill()
    running.process.wait()


def state(home: Home, run: str) -> str:
    return next(status.state for status in runs(home) if status.id == run)


def test_a_live_process_is_running_and_a_killed_one_can_be_continued(
    home: Home, polite: Running
) -> None:
    assert state(home, polite.run) == "running"
    polite.process.kill()
    polite.process.wait()
    assert state(home, polite.run) == "interrupted"


def test_what_was_left_and_then_done_by_another_is_killed(home: Home, polite: Running) -> None:
    other = pipelines.begin(home, CONFIG, command="run")
    pipelines.finish(home, other, "FINISHED", "promoted")
    polite.process.kill()
    polite.process.wait()
    assert state(home, polite.run) == "killed"
    assert state(home, other) == "finished"


def test_a_stage_shows_its_clock_and_budget_below_its_pipeline(home: Home) -> None:
    run = pipelines.begin(home, CONFIG, command="run")
    identity = RunIdentity(
        id=f"{run}.gan-00000000", key=f"{run}/0", parent_id=run, experiment="e", name="gan",
        stage="gan", images=1000,
    )  # fmt: skip
    journal = Journal(pipelines.journal_path(home, identity.id), identity)
    journal.metrics(640, {"loss": 1.0})
    found = runs(home)
    assert [r.id for r in found] == [run, identity.id]
    assert (found[1].images, found[1].budget, found[1].state) == (640, 1000, "running")
    journal.tags({"ganlib.collapse": "suspect (pixels/coverage) since 640 images"})
    assert runs(home)[1].verdict == "suspect (pixels/coverage) since 640 images"
    journal.close("FAILED", "diverged", "Diverged.")
    assert runs(home)[1].state == "failed"


def test_an_empty_home_has_nothing_and_asks_no_registry(home: Home) -> None:
    found = status(home)
    assert (found.runs, found.models, found.note) == ((), (), "")


@pytest.mark.usefixtures("polite")
def test_cancel_asks_and_the_run_ends_killed(home: Home, polite: Running) -> None:
    done = control.cancel(home, polite.run[:8], wait_s=20)
    assert (done.run, done.how, done.state) == (polite.run, "asked", "interrupted")
    assert pipelines.read(home, polite.run).status == "KILLED"


def test_cancel_kills_what_does_not_listen(home: Home, stubborn: Running) -> None:
    done = control.cancel(home, stubborn.run, wait_s=0.2)
    assert (done.how, done.state) == ("killed", "interrupted")
    assert stubborn.process.wait(10) == -9


def test_cancel_never_hits_a_process_that_got_the_number_later(home: Home, polite: Running) -> None:
    started = process_started(polite.process.pid)
    assert started is not None
    identity = RunIdentity(
        id="p-000000000001", key="p-000000000001", experiment="e", name="n", stage="pipeline",
        pid=polite.process.pid, started=started - 1,
    )  # fmt: skip
    Journal(pipelines.journal_path(home, identity.id), identity)
    done = control.cancel(home, identity.id, wait_s=0.2)
    assert done.how == "was not running"
    assert polite.process.poll() is None


def test_cancel_refuses_its_own_process_and_unknown_names(home: Home) -> None:
    run = pipelines.begin(home, CONFIG, command="run")
    with pytest.raises(InputError, match="this very process"):
        control.cancel(home, run, wait_s=0)
    with pytest.raises(NotFound, match="p-zz"):
        control.cancel(home, "p-zz", wait_s=0)


def test_logs_merge_a_run_and_all_below_it_in_order(home: Home, tmp_path: Path) -> None:
    run = pipelines.begin(home, CONFIG, command="run")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "workers.log").write_text("from a worker\n")
    identity = RunIdentity(
        id=f"{run}.gan-00000000", key="k", parent_id=run, experiment="e", name="gan", stage="gan",
        tags={"ganlib.folder": str(tmp_path / "work")},
    )  # fmt: skip
    journal = Journal(pipelines.journal_path(home, identity.id), identity)
    journal.metrics(1280, {"coverage": 0.5})
    pipelines.note(home, run, "hello")
    lines = list(control.logs(home, run, follow=False))
    assert lines[-1] == "from a worker"
    assert any("gan-00000000: 1,280 images: coverage 0.5" in line for line in lines)
    assert [line for line in lines if line.endswith(f"{run}: hello")] == [lines[-3]]


def test_following_logs_reads_this_run_alone_and_ends_with_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pipelines.begin(home, CONFIG, command="run")
    lines = control.logs(home, run, follow=True)
    assert "attempt 1" in next(lines)
    monkeypatch.setattr(control, "runs", None)  # the others were looked at once
    pipelines.note(home, run, "hello")
    assert any(line.endswith("hello") for line in lines)
    identity = RunIdentity(
        id=f"{run}.gan-00000000", key="k", parent_id=run, experiment="e", name="gan", stage="gan"
    )
    Journal(pipelines.journal_path(home, identity.id), identity).note("last words")
    pipelines.finish(home, run, "FINISHED", "done")
    told = [line.partition(" ")[2] for line in lines]
    assert "gan-00000000: last words" in told
