"""What `ganlib bench cancel` makes of its cancels; elsewhere a real job is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from ganlib.bench.cancel import PATIENCE_S, _summary
from ganlib.bench.marks import carrying, kill_once


def cancelled(seconds: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "released": seconds is not None,
        "left_alive": 0,
        "mlflow": ["KILLED", "KILLED"],
        "shown": True,
        **changes,
    }


def summary(*cancels: dict[str, Any]) -> dict[str, Any]:
    drill = {"state": "COMPLETED", "jobs_after_power_cut": 1}
    return _summary({"cancels": list(cancels), "drill": drill})


def test_the_percentile_is_of_all_and_one_that_was_never_free_counts_as_the_longest():
    good = summary(*(cancelled(float(n)) for n in range(1, 21)))
    assert (good["p95_seconds"], good["p50_seconds"], good["in_time"]) == (19.0, 11.0, True)
    assert good["all_released"]
    never = summary(*(cancelled(1.0) for _ in range(18)), cancelled(None), cancelled(None))
    assert (never["p95_seconds"], never["in_time"]) == (PATIENCE_S, False)
    assert not never["all_released"]


def test_what_is_left_anywhere_is_told():
    assert not summary(cancelled(1.0, left_alive=1))["all_released"]
    assert not summary(cancelled(1.0, mlflow=["KILLED", "RUNNING"]))["all_killed_in_mlflow"]
    assert not summary(cancelled(1.0, mlflow=[]))["all_killed_in_mlflow"]


def test_processes_are_found_by_what_they_inherited():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    mark = f"mark-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "GANLIB_TEST_MARK": mark},
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        while len(carrying("GANLIB_TEST_MARK", mark)) < 2:
            assert process.poll() is None
        while kill_once("GANLIB_TEST_MARK", mark):
            process.poll()
    assert carrying("GANLIB_TEST_MARK", mark) == []
