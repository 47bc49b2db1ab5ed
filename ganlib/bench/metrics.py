"""Our figures beside those of SciPy, torch-fidelity and prdc on the same features: value and time.

The others are not among the project's dependencies.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

from ganlib.errors import ConfigError, StageFailed

TARGET = 5.0
AGREEMENT = 1e-6
OTHERS = {"torch-fidelity": "0.4.0", "prdc": "0.2"}
JUDGE_WIDTH = 64


def bench_metrics(
    count: int = 10_000,
    size: int = JUDGE_WIDTH,
    *,
    seed: int = 0,
    threads: int = 1,
    rounds: int = 3,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Frechet, kernel (100 subsets of 1,000), neighbours and inception score of `count` each.

    Each side is a process of its own, in turns. `differences` are relative; `ratio` is the median
    over rounds of the others' seconds for the whole set over ours, `cpu_ratio` of processor
    seconds, which other work on the machine disturbs less. `passed` holds the differences to 1e-6
    and, at a judge's width, the processor's ratio to what is promised. A difference that is no
    finite number, which JSON could not hold, is none, and passes nothing. Raises ConfigError where
    the others are not installed.
    """
    found = {name: _version(name) for name in OTHERS}
    if missing := [name for name, number in found.items() if number is None]:
        pinned = " ".join(f"{name}=={OTHERS[name]}" for name in OTHERS)
        raise ConfigError(
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed",
            where="bench metrics",
            hint=f"pip install --no-deps {pinned} (and tqdm): they are compared with, and the "
            "project itself does without them",
        )
    asked = {"count": count, "size": size, "seed": seed, "threads": threads}
    turns: list[dict[str, Any]] = []
    told: dict[str, Any] = {}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        # The order turns around, so that a machine that warms up favours nobody.
        order = ("ours", "others") if number % 2 else ("others", "ours")
        told = {side: _measure({**asked, "side": side}) for side in order}
        ours, others = told["ours"], told["others"]
        turns.append(
            {
                "ratio": _whole(others, "seconds") / _whole(ours, "seconds"),
                "cpu_ratio": _whole(others, "cpu_seconds") / _whole(ours, "cpu_seconds"),
                "ratios": {
                    name: others["cpu_seconds"][name] / max(ours["cpu_seconds"][name], 1e-9)
                    for name in ours["cpu_seconds"]
                },
                "seconds": {side: told[side]["seconds"] for side in sorted(told)},
                "cpu_seconds": {side: told[side]["cpu_seconds"] for side in sorted(told)},
                "peak_mb": {side: told[side]["peak_mb"] for side in sorted(told)},
                "load_average": os.getloadavg()[0],
            }
        )
    differences = compare(told["ours"]["values"], told["others"]["values"])
    apart = largest(differences.values())
    cpu_ratio = median(turn["cpu_ratio"] for turn in turns)
    return {
        **asked,
        "cores": len(os.sched_getaffinity(0)),
        "others": found,
        "ratio": median(turn["ratio"] for turn in turns),
        "cpu_ratio": cpu_ratio,
        "cpu_ratio_spread": [
            min(t["cpu_ratio"] for t in turns),
            max(t["cpu_ratio"] for t in turns),
        ],
        "largest_difference": finite(apart),
        "differences": {name: finite(value) for name, value in differences.items()},
        "values": finite_values(told["ours"]["values"]),
        "peak_mb": turns[-1]["peak_mb"],
        "target": {"cpu_ratio": TARGET, "difference": AGREEMENT},
        "passed": apart <= AGREEMENT and (cpu_ratio >= TARGET or size != JUDGE_WIDTH),
        "load_average": turns[-1]["load_average"],
        "rounds": turns,
    }


def compare(ours: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, float]:
    """Name -> relative difference; another's `name_program` is held against our `name`.

    Of a value of 0 it is 0 or infinite, and of one that is no number NaN.
    """
    flat = _flat(ours)
    return {
        name: relative(flat[name if name in flat else name.rpartition("_")[0]], value)
        for name, value in _flat(others).items()
    }


def relative(value: float, reference: float) -> float:
    """|value - reference| / |reference|: infinite beside a reference of 0 that is missed."""
    apart = abs(value - reference)
    if reference == 0:
        return apart and math.inf * apart
    return apart / abs(reference)


def largest(values: Iterable[float]) -> float:
    """The largest, or NaN, which is within no limit, where any is: `max` tells what came first."""
    found = list(values)
    return math.nan if any(map(math.isnan, found)) else max(found)


def finite(value: float) -> float | None:
    """None where it is no finite number, which JSON has no word for."""
    return value if math.isfinite(value) else None


def finite_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """`finite` of each, at any depth."""
    return {
        name: finite_values(value) if isinstance(value, dict) else finite(value)
        for name, value in values.items()
    }


def _flat(values: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in values.items():
        found |= value if isinstance(value, dict) else {name: value}
    return found


def _whole(side: Mapping[str, Any], of: str) -> float:
    """Of the figures both give: SciPy's is a second opinion."""
    return float(sum(value for name, value in side[of].items() if name != "frechet_scipy"))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _measure(asked: Mapping[str, Any]) -> dict[str, Any]:
    threads = str(asked["threads"])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from ganlib.bench.metrics_sides import main; main()",
         json.dumps(asked)],
        capture_output=True,
        text=True,
        env=environment,
    )  # fmt: skip
    if done.returncode:
        raise StageFailed(
            f"a measurement failed: {done.stderr.strip()[-500:]}", where="bench metrics"
        )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
