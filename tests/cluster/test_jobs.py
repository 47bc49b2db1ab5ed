"""Jobs of a real Ray with its job server, which asks for a token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganlib.bench.ray_nodes import TOKEN, Nodes, ray_nodes
from ganlib.cluster import jobs
from ganlib.cluster.jobs import Job, JobServer
from ganlib.errors import ConfigError
from tests.cluster.tiny import until
from tests.s3 import free_port

HOLDING = """
import ray, sys, time
from ray.util.placement_group import placement_group
ray.init(logging_level="ERROR")
group = placement_group([{"CPU": 1}])
ray.get(group.ready())

@ray.remote(num_cpus=1)
class Worker:
    def here(self): return True

@ray.remote(num_cpus=0)
class Service:
    def here(self): return True

worker = Worker.remote()
lasting = Service.options(name="lasting", lifetime="detached").remote()
ray.get([worker.here.remote(), lasting.here.remote()])
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with ray_nodes(2) as started:
        yield started


@pytest.fixture
def server(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServer]:
    for name, value in nodes.client().items():
        monkeypatch.setenv(name, value)
    forget_token()
    yield JobServer(jobs.address())
    forget_token()


def forget_token() -> None:
    """Ray reads it once, and other tests of this process have Rays of their own."""
    from ray._raylet import AuthenticationTokenLoader

    AuthenticationTokenLoader.instance().reset_cache()


def ended(server: JobServer, job_id: str) -> Job:
    """The job once it is over."""

    def over() -> bool:
        job = server.job(job_id)
        return job is not None and job.over

    until(over)
    job = server.job(job_id)
    assert job is not None
    return job


def test_a_job_runs_once_however_often_it_is_submitted(server: JobServer, tmp_path: Path):
    assert server.job("p-1.gan-1.1") is None
    assert server.log("p-1.gan-1.1") == ""
    words = [
        sys.executable,
        "-c",
        f"open({str(tmp_path / 'ran')!r}, 'a').write('x'); print('it is $HOME')",
    ]
    server.submit("p-1.gan-1.1", words)
    server.submit("p-1.gan-1.1", words)
    assert ended(server, "p-1.gan-1.1").state == "succeeded"
    assert (tmp_path / "ran").read_text() == "x"
    assert "it is $HOME\n" in server.log("p-1.gan-1.1")


def test_what_a_job_that_failed_says_is_known(server: JobServer):
    server.submit("p-1.gan-1.2", [sys.executable, "-c", "raise SystemExit('too bad')"])
    job = ended(server, "p-1.gan-1.2")
    assert (job.state, job.exit_code) == ("failed", 1)
    assert "too bad" in job.message


def test_a_stopped_job_holds_nothing_any_more(server: JobServer, tmp_path: Path):
    script = tmp_path / "holding.py"
    script.write_text(HOLDING)
    server.submit("p-1.sweep-1.1", [sys.executable, str(script)])
    until(lambda: "held" in server.log("p-1.sweep-1.1"))
    release = server.stop("p-1.sweep-1.1", 25.0)
    assert release.released, release
    assert release.seconds_to_stop <= release.seconds < 25
    assert len(release.before.placement_groups) == 1
    assert [one.kind for one in release.before.processes].count("driver") == 1
    assert len(release.before.processes) == 2  # the detached actor is for others too
    assert release.after.nothing
    assert release.after.used == {"CPU": 0.0}
    assert release.after.total == {"CPU": 2.0}
    assert "2 processes and 1 placement groups it held were free" in release.sentence
    job = server.job("p-1.sweep-1.1")
    assert job is not None
    assert job.state == "stopped"


def test_ray_shows_nothing_of_our_environment(
    server: JobServer, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted-secret")
    server.submit("p-1.gan-2.1", [sys.executable, "-c", "import os; print(sorted(os.environ))"])
    ended(server, "p-1.gan-2.1")
    told = nodes.ask("/api/jobs/")
    (mine,) = [one for one in told if one["submission_id"] == "p-1.gan-2.1"]
    assert list(mine["runtime_env"]["env_vars"]) == ["RAY_JOB_STOP_WAIT_TIME_S"]
    assert "planted-secret" not in json.dumps(told)
    assert "MLFLOW_TRACKING_PASSWORD" not in server.log("p-1.gan-2.1")


def test_the_address_that_nodes_join_leads_to_the_job_server(
    server: JobServer, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_ADDRESS", nodes.gcs)
    assert JobServer(jobs.address()).job("nobody") is None


def test_addresses_that_cannot_be(server: JobServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(ConfigError, match="no images travel over that"):
        JobServer(jobs.address())
    for nobody in (f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"):
        monkeypatch.setenv("RAY_ADDRESS", nobody)
        before = time.monotonic()
        with pytest.raises(ConnectionError):
            JobServer(jobs.address()).job("x")
        assert time.monotonic() - before < 10


def test_another_token_is_refused_by_name(nodes: Nodes):
    code = (
        "from ganlib.cluster.jobs import JobServer, address\n"
        "from ganlib.errors import ConfigError\n"
        "try:\n    JobServer(address()).job('x')\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    wrong = {**os.environ, **nodes.client(), "RAY_AUTH_TOKEN": "f" * 32}
    done = subprocess.run(
        [sys.executable, "-c", code], env=wrong, capture_output=True, text=True, timeout=100
    )
    assert "RAY_AUTH_TOKEN" in done.stdout, done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_in_a_job_stages_are_its_own_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setenv(jobs.INSIDE, "{}")
    assert jobs.inside()
    assert jobs.address() == ""
    monkeypatch.delenv(jobs.INSIDE)
    assert jobs.address() == "127.0.0.1:6379"
