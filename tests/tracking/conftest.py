"""Homes with an MLflow in them, and journals as runs write them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ganlib.storage import Home
from ganlib.tracking.connection import connect
from ganlib.training import Journal, RunIdentity


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: making one takes ten seconds, copying it none."""
    home = Home.open(tmp_path_factory.mktemp("migrated") / "home")
    connect(home, f"sqlite:///{home.mlflow_db}").search_experiments()
    return home.mlflow_db


@pytest.fixture
def home(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home.open(tmp_path / "home")
    shutil.copyfile(migrated, home.mlflow_db)
    return home


@pytest.fixture
def journal(home: Home) -> Callable[..., Journal]:
    """A journal named `p-1.gan-2` is stage `gan` of pipeline `p-1`."""

    def make(journal_id: str, *, parent: str | None = None, **fields: object) -> Journal:
        identity = RunIdentity(
            id=journal_id,
            key=journal_id.replace(".", "/"),
            parent_id=parent,
            experiment="ganlib/digits",
            name=journal_id.rpartition(".")[2],
            stage="gan",
            **fields,
        )
        return Journal(home.spool / f"{journal_id}.jsonl", identity)

    return make


def picture(level: int, size: int = 8) -> bytes:
    out = io.BytesIO()
    Image.new("L", (size, size), level).save(out, "PNG")
    return out.getvalue()
