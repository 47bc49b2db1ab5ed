"""The first steps' numbers in float64, so that a change of arithmetic cannot pass unseen.

At a small learning rate: at 1e-3 one processor's rounding was another's 1e-4 after ten steps, and
is 1e-6 now.

If these fail, the initial weights, the order of images, the noise, a loss or Adam have moved. When
that was meant: `GANLIB_BLESS=1 .venv/bin/python -m pytest tests/training/test_golden_steps.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ganlib.determinism import Replicas
from ganlib.training.loop import Report
from tests.training.test_replicated_training import PROBLEMS, train

GOLDEN = Path(__file__).with_name("golden_steps.json")


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_first_steps_are_the_golden_ones(name: str) -> None:
    _, moments = train(name, "float64", Replicas(), slow=True)
    found = [moment.values for moment in moments if isinstance(moment, Report)][:2]
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("GANLIB_BLESS"):
        GOLDEN.write_text(json.dumps(golden | {name: found}, indent=1, sort_keys=True) + "\n")
        return
    for now, then in zip(found, golden[name], strict=True):
        assert now == pytest.approx(then, rel=1e-5)
