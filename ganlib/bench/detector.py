"""How well collapse is told: on published logs, and on runs of our own that collapse or do not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganlib.bench.recorded import read_logs, replay

Say = Callable[[str], None]
NO_WORSE_THAN = "FID rule"


def bench_detector(logs: Path, *, say: Say = lambda text: None) -> dict[str, Any]:
    """The detector on losses and FID of published runs, beside two simple rules.

    See `replay` for what is counted; `hours_possible` is what a stop at the best evaluation of each
    collapsed run would have saved. The label of these runs is made from their FID, so a rule that
    watches it is partly circular: losses alone are the harder question. `passed` says that the
    detector hits no less and saves no less than the better rule, without a false alarm. Raises
    DataError where the logs cannot be read.
    """
    say(f"replaying the runs in {logs}")
    runs = read_logs(logs)
    rules = replay(runs)
    ours, theirs = rules[0], next(rule for rule in rules if rule["rule"] == NO_WORSE_THAN)
    return {
        "logs": {
            "runs": len(runs),
            "collapsed": sum(run.collapsed for run in runs),
            "hours_possible": sum(run.after_best for run in runs if run.collapsed),
            "rules": rules,
        },
        "passed": ours["hits"] >= theirs["hits"]
        and ours["hours_saved"] >= theirs["hours_saved"]
        and not ours["false_alarms"],
        "load_average": os.getloadavg()[0],
    }
