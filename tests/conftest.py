"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.s3 import S3Server, moto, rclone

ROOT = Path(__file__).resolve().parents[1]

SERVED = ("e2e", "test_api.py", "cluster", "flows", "faults", "cli", "stages", "tracking")
"""Folders whose tests start Ray, Prefect or MLflow, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The served first, since they take longest."""
    items.sort(key=lambda item: _order(_unit(item.nodeid)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Side by side, a folder whose tests share a service stays in one process, others by file."""
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = _unit  # type: ignore[method-assign]
    return scheduling


def _unit(nodeid: str) -> str:
    """`tests/cluster/test_fit.py::test_it` -> `cluster`, `tests/data/test_order.py` as it is."""
    file = nodeid.split("::")[0]
    first = file.split("/")[1]
    return first if first in SERVED else file


def _order(unit: str) -> int:
    return SERVED.index(unit) if unit in SERVED else len(SERVED)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets; tests that truly need it are skipped where it is absent."""
    folder = Path(os.environ.get("GANLIB_TEST_DATA", str(ROOT / ".." / "shared" / "data")))
    if not folder.is_dir():
        pytest.skip(f"GANLIB_TEST_DATA: there is no folder {folder}")
    return folder.resolve()


@pytest.fixture(scope="session", params=["moto", "rclone"])
def s3_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """Each of the two, started once."""
    folder = tmp_path_factory.mktemp("rclone")
    with moto() if request.param == "moto" else rclone(folder) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Server:
    """The server that the environment names, and an empty cache."""
    s3_server.use(monkeypatch)
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    return s3_server
