"""Who gives notice wrongly is told; what notice does: `test_preemption.py`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ganlib.cluster import notice
from ganlib.errors import ConfigError


@pytest.mark.usefixtures("ray_up")
def test_a_node_that_is_not_there_is_named() -> None:
    from ray import get_runtime_context

    with pytest.raises(ConfigError, match="is nobody") as caught:
        notice.give(get_runtime_context().gcs_address, "nobody", 5)
    assert caught.value.where == notice.WHOSE


def test_outside_of_a_node_it_ends_at_once() -> None:
    command = [sys.executable, "-m", notice.__name__, "5"]
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'RAY_ADDRESS' is not set" in done.stderr
