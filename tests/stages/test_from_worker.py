"""What worker processes see, on real Rays and servers: each fault names the one setting to fix."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganlib.cluster import keeping_ray, ray_session
from ganlib.config import ClusterConfig
from ganlib.stages import from_worker
from ganlib.stages.from_worker import checks, storage
from ganlib.stages.values import Check
from ganlib.storage import Home
from tests.s3 import S3Server, free_port, rclone

SECRET = "planted-secret-key"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone(tmp_path_factory.mktemp("rclone")) as one:
        one.bucket("doctored")
        yield one


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    server.use(monkeypatch)
    return server


def test_an_s3_server_is_tried(s3: S3Server) -> None:
    check = storage("s3://doctored/here")
    assert check.ok, check
    assert "Contents" not in s3.client().list_objects_v2(Bucket="doctored")


@pytest.mark.parametrize(
    ("uri", "change", "found", "fix"),
    [
        ("s3://doctored/x", {"AWS_SECRET_ACCESS_KEY": SECRET}, "put: ", "AWS_SECRET_ACCESS_KEY"),
        ("s3://doctored/x", {"AWS_ACCESS_KEY_ID": "nobody"}, "put: ", "AWS_ACCESS_KEY_ID"),
        ("s3://nowhere/x", {}, "put: .*no such bucket", "aws s3 mb"),
        (
            "s3://doctored/x",
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
            "put: ",
            "AWS_ENDPOINT_URL_S3",
        ),
        ("s4://doctored", {}, "finding credentials.*not s3://", "AWS_ENDPOINT_URL_S3|s3://"),
    ],
)
def test_each_fault_of_storage_names_its_setting(
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
    change: dict[str, str],
    found: str,
    fix: str,
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    check = storage(uri)
    assert not check.ok
    assert re.search(found, check.found), check
    assert re.search(fix, check.fix), check
    assert SECRET not in check.found + check.fix


def test_other_versions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = from_worker.versions()
    assert from_worker._versions(ours, from_worker.versions()).ok
    check = from_worker._versions(ours | {"torch": "1.0"}, ours)
    assert (check.ok, check.found) == (False, f"torch {ours['torch']} instead of 1.0")
    assert "constraints.txt" in check.fix


@pytest.mark.parametrize(
    ("clock", "ok"), [(105.0, True), (80.0, True), (60.0, False), (200.0, False)]
)
def test_a_clock_is_held_between_two_of_ours(clock: float, ok: bool) -> None:
    assert from_worker._clock(clock, 100.0, 110.0).ok is ok


@pytest.fixture(scope="module")
def strict_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real server whose host list has `mlflow.team` and not loopback."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    env = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"mlflow.team,localhost:{port}",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        end = time.monotonic() + 240
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                assert time.monotonic() < end, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def by_name(found: tuple[Check, ...]) -> dict[str, Check]:
    """Of one node, without its name."""
    assert len({check.name.rpartition(" ")[0] for check in found}) == 1, found
    return {check.name.rpartition(" ")[2]: check for check in found}


@pytest.mark.slow
def test_a_worker_tries_all_of_it(
    s3: S3Server, strict_mlflow: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://localhost:{strict_mlflow}")
    home = Home.open(tmp_path / "home").root
    with keeping_ray(), ray_session(ClusterConfig(), log=home / "ray.log"):
        well = by_name(checks(home, "s3://doctored/well"))
        assert set(well) == {"versions", "storage", "MLflow", "home", "disk", "clock"}
        assert {name: one for name, one in well.items() if not one.ok} == {}

        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{strict_mlflow}")
        told = from_worker.versions() | {"ray": "2.0.0"}
        monkeypatch.setattr(from_worker, "versions", lambda: told)
        ill = by_name(checks(home, "s3://nowhere/x"))
    failed = {name: one.fix for name, one in ill.items() if not one.ok}
    assert set(failed) == {"versions", "storage", "MLflow"}
    assert f"MLFLOW_SERVER_ALLOWED_HOSTS=127.0.0.1,127.0.0.1:{strict_mlflow}" in failed["MLflow"]
    assert "instead of 2.0.0" in ill["versions"].found
    assert "aws s3 mb s3://" in failed["storage"]


@pytest.mark.slow
def test_wrong_keys_are_those_of_the_worker(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Ray that was started with a wrong secret; the driver has the right one by then."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home.open(tmp_path / "home").root
    right = os.environ["AWS_SECRET_ACCESS_KEY"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with keeping_ray(), ray_session(ClusterConfig(), log=home / "ray.log"):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", right)
        assert storage("s3://doctored/x").ok
        found = by_name(checks(home, "s3://doctored/x"))
    assert [name for name, one in found.items() if not one.ok] == ["storage"]
    assert "AWS_SECRET_ACCESS_KEY" in found["storage"].fix
    assert SECRET not in str(found)
