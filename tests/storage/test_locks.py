"""A lock names its holder, and a dead holder holds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganlib.errors import Busy
from ganlib.storage import holding

HOLD = """
import sys
from pathlib import Path
from ganlib.storage import holding
with holding(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_it_until_the_first_dies(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(Busy, match=f"training is being done by process {other.pid}"),
            holding(path, "training"),
        ):
            pass
        other.kill()
        other.wait()
        with holding(path, "training", wait=5):
            assert str(os.getpid()) in path.with_suffix(".owner").read_text()
    assert not path.with_suffix(".owner").exists()
