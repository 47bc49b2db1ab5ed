"""A real Prefect server of this session's own, and the settings that point at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import server, settings
from ganlib.storage import Home


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose Prefect server runs; Prefect must not have been imported for another one."""
    home = Home.open(tmp_path_factory.mktemp("prefect") / "home").root
    before = dict(os.environ)
    os.environ.pop("PREFECT_API_URL", None)
    settings.apply(home)
    running = server.start(home)
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    try:
        running.wait()
        with temporary_settings({PREFECT_API_URL: running.api_url, PREFECT_HOME: home / "prefect"}):
            yield home
    finally:
        settings.flush()
        running.stop()
        os.environ.clear()
        os.environ.update(before)
