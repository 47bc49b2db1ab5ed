"""What a stage that is a Ray job makes of how the job fares: attach, submit, try again, stop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ganlib.cli import job as entry
from ganlib.cluster.holdings import Holdings, Process, Release
from ganlib.cluster.jobs import INSIDE, Job, State
from ganlib.config import PipelineConfig
from ganlib.errors import ConfigError, DataError, StageFailed, WorkersLost
from ganlib.stages import jobs, orders, pipelines
from ganlib.stages.context import Context
from ganlib.stages.orders import ForSweep
from ganlib.stages.values import DatasetRef
from ganlib.storage import Home
from ganlib.training import Journal, RunIdentity, read_journal

CONFIG = PipelineConfig(name="tiny")
GIVEN = ForSweep(
    dataset=DatasetRef(
        folder="/nowhere", fingerprint="f", size=8, channels=1, classes=("a", "b"), counts={}
    ),
    judges=None,
)
HELD = Holdings(
    used={"CPU": 2.0},
    total={"CPU": 4.0},
    placement_groups=("g1",),
    processes=(Process(host="h", pid=7, kind="driver"),),
    at=0.0,
)
FREE = HELD.model_copy(update={"used": {"CPU": 0.0}, "placement_groups": (), "processes": ()})


@dataclass
class Scripted:
    """Jobs that are as they are told to be; each look at one calls `look` first."""

    look: Callable[[str], None] = lambda job_id: None
    jobs: dict[str, Job] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    logs: str = ""
    where: str = "http://head:8265"
    begins: State = "succeeded"

    def job(self, job_id: str) -> Job | None:
        self.look(job_id)
        return self.jobs.get(job_id)

    def submit(self, job_id: str, command: Sequence[str]) -> None:
        assert orders.read(Path(command[-1])).id == job_id  # written down before
        self.submitted.append(job_id)
        self.jobs[job_id] = Job(id=job_id, state=self.begins)

    def log(self, job_id: str) -> str:
        return self.logs

    def stop(self, job_id: str, patience_s: float) -> Release:
        self.stopped.append(job_id)
        return Release(
            job=job_id,
            before=HELD,
            after=FREE,
            seconds_to_stop=1.5,
            seconds=2.5,
            free=100.0,
            released=True,
        )


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
    monkeypatch.setattr(jobs, "ARRIVES_S", 0.1)
    home = Home.open(tmp_path / "home")
    return Context(home, CONFIG, pipelines.begin(home, CONFIG, command="run"))


def run_of(context: Context) -> str:
    return f"{context.pipeline_id}.sweep-12345678"


def said(context: Context, job: str, **told: Any) -> None:
    path = orders.folder(context.home, job) / "outcome.json"
    path.write_text(json.dumps({"host": "head", **told}))


def test_a_job_has_a_name_that_says_which_and_is_submitted_once(context: Context):
    server = Scripted()
    jobs.perform(context, run_of(context), GIVEN, server)
    assert server.submitted == [f"{run_of(context)}.1"]


def test_whoever_asks_again_attaches_to_the_job_that_runs(context: Context):
    server, run = Scripted(begins="running"), run_of(context)

    def dies(job_id: str) -> None:
        if server.submitted:
            raise MemoryError  # any failure of the client's own

    server.look = dies
    with pytest.raises(MemoryError):
        jobs.perform(context, run, GIVEN, server)
    looks: list[str] = []

    def goes_on(job_id: str) -> None:
        looks.append(job_id)
        if len(looks) == 4:
            server.jobs[job_id] = Job(id=job_id, state="succeeded")

    server.look = goes_on
    jobs.perform(context, run, GIVEN, server)
    assert server.submitted == [f"{run}.1"] == sorted(set(looks))
    assert server.stopped == []


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_a_job_that_ended_badly_is_followed_by_another(context: Context, state: State):
    server, run = Scripted(begins=state), run_of(context)
    said_before = len(server.submitted)
    for number in (1, 2):
        server.look = lambda job_id: said(context, job_id, status="begun")
        with pytest.raises(StageFailed):
            _begun(context, run, server)
        assert server.submitted[said_before:][-1] == f"{run}.{number}"


def _begun(context: Context, run: str, server: Scripted) -> None:
    def begin(job_id: str) -> None:
        if orders.attempts(context.home, run) and job_id in server.jobs:
            said(context, job_id, status="begun")

    server.look = begin
    jobs.perform(context, run, GIVEN, server)


def test_a_killed_process_of_a_job_is_a_lost_worker(context: Context):
    with pytest.raises(WorkersLost, match="was killed"):
        _begun(context, run_of(context), Scripted(begins="failed"))


def test_what_the_job_raised_is_raised(context: Context):
    server, run = Scripted(begins="failed"), run_of(context)

    def fails(job_id: str) -> None:
        if server.submitted:
            with pytest.raises(DataError), orders.telling(orders.read(_order(context, job_id))):
                raise DataError("images/3.png is no image", where="images/3.png")

    server.look = fails
    with pytest.raises(DataError, match="no image") as caught:
        jobs.perform(context, run, GIVEN, server)
    assert caught.value.where == "images/3.png"


def _order(context: Context, job_id: str) -> Path:
    return orders.folder(context.home, job_id) / "order.json"


def test_a_job_that_could_not_begin_is_a_wrong_setting(context: Context):
    server, run = Scripted(), run_of(context)
    job = Job(id=f"{run}.1", state="failed", exit_code=127, message="\npython: not found\n")
    server.look = lambda job_id: server.jobs.update({job_id: job} if server.submitted else {})
    with pytest.raises(ConfigError, match="could not begin on the head: python: not found"):
        jobs.perform(context, run, GIVEN, server)


def test_a_head_that_falls_silent_is_waited_for_and_then_lost(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    server, run = Scripted(begins="running"), run_of(context)
    identity = RunIdentity(id=run, key=run, experiment="e", name="sweep", stage="sweep")
    Journal(pipelines.journal_path(context.home, run), identity).note("begun")
    silent: list[float] = []

    def falls_silent(job_id: str) -> None:
        if server.submitted:
            silent.append(time.monotonic())
            raise ConnectionError("refused")

    server.look = falls_silent
    monkeypatch.setattr(jobs, "SILENCE_S", 0.3)
    with pytest.raises(WorkersLost, match=r"http://head:8265 does not answer: refused") as caught:
        jobs.perform(context, run, GIVEN, server)
    assert silent[-1] - silent[0] >= 0.2
    assert "start it again" in caught.value.hint
    last = list(read_journal(pipelines.journal_path(context.home, run)))[-1]
    assert (last["kind"], last["status"]) == ("close", "KILLED")

    refusals: list[str] = []

    def starts(job_id: str) -> None:
        refusals.append(job_id)
        if len(refusals) < 4:
            raise ConnectionError("refused")

    server.look, server.jobs = starts, {}  # a new head, that is not up yet and knows of nothing
    said(context, f"{run}.1", status="begun")
    server.begins = "succeeded"
    jobs.perform(context, run, GIVEN, server)
    assert len(refusals) > 4
    assert server.submitted == [f"{run}.1", f"{run}.2"]


def test_a_head_that_was_never_there_is_a_wrong_setting(context: Context):
    def refuses(job_id: str) -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConfigError, match="does not answer: refused") as caught:
        jobs.perform(context, run_of(context), GIVEN, Scripted(look=refuses))
    assert caught.value.where == "RAY_ADDRESS"
    assert orders.attempts(context.home, run_of(context)) == []


def test_an_interrupted_client_stops_its_job_and_keeps_the_proof(context: Context):
    server, run = Scripted(begins="running"), run_of(context)

    def interrupts(job_id: str) -> None:
        if server.submitted:
            server.look = lambda job_id: None
            raise KeyboardInterrupt

    server.look = interrupts
    with pytest.raises(KeyboardInterrupt):
        jobs.perform(context, run, GIVEN, server)
    assert server.stopped == [f"{run}.1"]
    (release,) = jobs.releases(context.home, context.pipeline_id)
    assert (release.released, release.seconds) == (True, 2.5)
    assert jobs.releases(context.home, "p-000000000000") == ()


def test_a_client_that_is_interrupted_while_it_submits_stops_the_job_too(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    server, run = Scripted(begins="running"), run_of(context)
    taken, looks = server.submit, []

    def submit(job_id: str, command: Sequence[str]) -> None:
        server.look = arrives
        raise KeyboardInterrupt  # before the answer is read

    def arrives(job_id: str) -> None:
        looks.append(job_id)
        if len(looks) == 2:
            taken(job_id, [str(_order(context, job_id))])

    monkeypatch.setattr(server, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        jobs.perform(context, run, GIVEN, server)
    assert server.stopped == [f"{run}.1"]
    assert len(jobs.releases(context.home, context.pipeline_id)) == 1


def test_a_job_that_the_head_never_heard_of_is_not_stopped(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    server, run = Scripted(), run_of(context)

    def submit(job_id: str, command: Sequence[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        jobs.perform(context, run, GIVEN, server)
    assert orders.attempts(context.home, run) == [f"{run}.1"]
    assert server.stopped == []
    assert jobs.releases(context.home, context.pipeline_id) == ()


def test_the_log_is_told_once_line_by_line(context: Context, caplog: pytest.LogCaptureFixture):
    server = Scripted(logs="one\ntwo\nhal")
    looks: list[str] = []

    def grows(job_id: str) -> None:
        looks.append(job_id)
        if len(looks) == 6:
            server.logs = "one\ntwo\nhalf\n"
            server.jobs[job_id] = Job(id=job_id, state="succeeded")

    server.begins, server.look = "running", grows
    caplog.set_level("INFO", logger="ganlib.jobs")
    jobs.perform(context, run_of(context), GIVEN, server)
    told = [one.message for one in caplog.records if one.name == "ganlib.jobs"]
    assert told == ["one", "two", "half"]


def test_an_order_holds_settings_and_no_secrets(context: Context, monkeypatch: pytest.MonkeyPatch):
    planted = {
        "MLFLOW_TRACKING_PASSWORD": "planted",
        "AWS_SECRET_ACCESS_KEY": "planted",
        "RAY_AUTH_TOKEN": "planted",
        "MLFLOW_TRACKING_URI": "http://me:planted@mlflow:5000",
        "AWS_ENDPOINT_URL": "http://me:planted@s3:8333",
    }
    plain = {
        "AWS_ENDPOINT_URL_S3": "http://s3:8333",
        "AWS_REGION": "eu-central-1",
        "GANLIB_INCEPTION": "/weights/inception.pth",
        "GANLIB_MIRROR": "s3://bucket/team",
    }
    for name in orders.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in (planted | plain).items():
        monkeypatch.setenv(name, value)
    jobs.perform(context, run_of(context), GIVEN, Scripted())
    path = _order(context, f"{run_of(context)}.1")
    assert "planted" not in path.read_text()
    assert orders.read(path).settings == plain


def test_the_process_of_a_job_does_the_stage_and_says_how_it_ended(
    context: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(INSIDE, "{}")
    jobs.perform(context, run_of(context), GIVEN, Scripted())
    job = f"{run_of(context)}.1"
    path = _order(context, job)
    order = orders.read(path)
    nothing = order.config.model_copy(
        update={
            "sweep": order.config.sweep.model_copy(update={"target": "classifier", "trials": 1})
        }
    )
    orders.write(context.home, order.model_copy(update={"config": nothing}))
    assert entry.main([str(path)]) == 0
    outcome = orders.outcome(context.home, job)
    assert outcome is not None
    assert outcome.status == "finished"
    orders.write(context.home, order)  # a sweep over the GAN, without anybody to select
    assert entry.main([str(path)]) == 2
    outcome = orders.outcome(context.home, job)
    assert outcome is not None
    assert outcome.error is not None
    assert outcome.error["type"] == "ConfigError"
    assert "needs the selector" in capsys.readouterr().err
    assert entry.main([str(path.with_name("nowhere.json"))]) == 2
    assert "cannot read" in capsys.readouterr().err
