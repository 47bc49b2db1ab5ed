"""However a driver ends, its Ray ends with it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ganlib.cluster import end_leftovers, keeping_ray, ray_session
from ganlib.cluster.leftovers import MARK
from ganlib.config import ClusterConfig
from ganlib.errors import ConfigError
from tests.cluster.conftest import CLUSTER
from tests.cluster.tiny import until


def carrying(mark: str) -> list[int]:
    """The living processes with this mark in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def begin(
    what: str, home: Path, begun: Callable[[], bool], **more: str
) -> tuple[subprocess.Popen[str], str]:
    """A driver well under way, and its mark."""
    command = [sys.executable, "-m", "tests.cluster.driver", what, str(home)]
    env = {k: v for k, v in os.environ.items() if k != MARK and not k.startswith("RAY_")} | more
    driver = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env=env,
    )  # fmt: skip

    def ready() -> bool:
        assert driver.poll() is None, driver.stdout and driver.stdout.read()
        return begun()

    until(ready)
    (record,) = home.glob("ray-*.json")
    return driver, json.loads(record.read_text())["mark"]


def test_a_signal_ends_a_sweep_and_all_of_its_ray(tmp_path: Path):
    driver, mark = begin("sweep", tmp_path, (tmp_path / "begun").exists)
    assert len(carrying(mark)) > 3
    before = time.monotonic()
    driver.send_signal(signal.SIGTERM)
    output, _ = driver.communicate(timeout=60)
    assert time.monotonic() - before < 15
    assert driver.returncode not in (0, -signal.SIGTERM), output
    assert carrying(mark) == []
    assert not list(tmp_path.glob("ray-*.json"))
    assert "raylet" not in output


@pytest.mark.slow
def test_a_key_press_ends_a_fit_and_all_of_its_ray(tmp_path: Path):
    driver, mark = begin("fit", tmp_path, lambda: any(tmp_path.glob("run/snapshots/*/meta.json")))
    before = time.monotonic()
    driver.send_signal(signal.SIGINT)
    output, _ = driver.communicate(timeout=60)
    assert time.monotonic() - before < 15
    assert "KeyboardInterrupt" in output
    assert carrying(mark) == []


def test_what_a_killed_driver_left_is_ended_by_the_next(tmp_path: Path):
    driver, mark = begin("none", tmp_path, (tmp_path / "begun").exists)
    assert carrying(mark)
    driver.kill()
    driver.communicate()
    end_leftovers(tmp_path)
    assert carrying(mark) == []
    assert not list(tmp_path.glob("ray-*.json"))


@pytest.mark.slow
def test_a_ray_at_an_address_is_joined_and_left_running(tmp_path: Path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    token = {"RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef"}
    host, mark = begin("none", tmp_path / "theirs", (tmp_path / "theirs/begun").exists, **token)
    address = (tmp_path / "theirs" / "address").read_text()
    try:
        command = [sys.executable, "-m", "tests.cluster.driver", "short", str(tmp_path / "ours")]
        env = {**os.environ, **token, "RAY_ADDRESS": address}
        guest = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
        assert guest.returncode == 0, guest.stderr
        assert (tmp_path / "ours" / "run" / "outcome.json").exists()
        assert not list((tmp_path / "ours").glob("ray-*.json"))
        assert len(carrying(mark)) > 3
        host.communicate("", timeout=60)
        assert carrying(mark) == []
    finally:
        host.kill()


def _fail_inside(cluster: ClusterConfig, log: Path) -> None:
    import ray

    with ray_session(cluster, log=log):
        assert ray.cluster_resources()["CPU"] == 64
        _ = 1 / 0


def test_sessions_nest_and_are_kept(tmp_path: Path):
    import ray

    handlers = logging.getLogger("ray").handlers
    before = signal.getsignal(signal.SIGTERM)
    with keeping_ray():
        assert not ray.is_initialized()
        with (
            ray_session(CLUSTER, log=tmp_path / "ray.log"),
            ray_session(CLUSTER, log=tmp_path / "other.log"),
        ):
            node = ray.get_runtime_context().get_node_id()
        assert ray.is_initialized()
        with ray_session(CLUSTER, log=tmp_path / "ray.log"):
            assert ray.get_runtime_context().get_node_id() == node
        wide = CLUSTER.model_copy(update={"workers": 64})
        with pytest.raises(ZeroDivisionError):
            _fail_inside(wide, tmp_path / "ray.log")
    assert not ray.is_initialized()
    assert not list(tmp_path.glob("ray-*.json"))
    assert logging.getLogger("ray").handlers == handlers
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_job_server_is_not_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    with pytest.raises(ConfigError, match="HOST:6379"), ray_session(CLUSTER, log=tmp_path / "l"):
        raise AssertionError


def test_an_address_that_nobody_answers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConfigError, match="RAY_ADDRESS"), ray_session(CLUSTER, log=tmp_path / "l"):
        raise AssertionError
