"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets; tests that truly need it are skipped where it is absent."""
    folder = Path(os.environ.get("GANLIB_TEST_DATA", str(ROOT / ".." / "shared" / "data")))
    if not folder.is_dir():
        pytest.skip(f"GANLIB_TEST_DATA: there is no folder {folder}")
    return folder.resolve()
