"""Training speed against a plain PyTorch loop for the same networks, in alternation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ganlib.bench.sides import expressible
from ganlib.config import load_recipe, overlay, parse_assignments
from ganlib.errors import ConfigError, StageFailed

TARGET = 1.9
OVERHEAD = 0.02


def bench_train(
    recipe: str = "cifar10",
    *,
    settings: Sequence[str] = (),
    threads: int = 2,
    rounds: int = 5,
    seconds: float = 8.0,
    quality: Path | None = None,
    search: tuple[Path, ...] = (),
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Images/s of ganlib's loop and of the plain loop, and what ours adds, round after round.

    Each measurement is a process of its own with `threads` threads and `seconds` of training after
    a warm-up. `ratio` is the median over rounds of ours over plain; `overhead` the median of what
    the loop adds to the bare step, as a share, ten steps of each in turn. `gflops` stands beside
    the best the machine does with one large convolution, which is what limits both. `passed` is
    none but for what is promised: the recipe cifar10 as it stands, on two threads of a CPU that
    multiplies bfloat16.
    With `quality`, a folder, `bench_quality` comes first, which keeps there what it has done:
    `quality` is its answer, whatever the recipe, and none without.
    The memory that a step frees is kept for the next in our processes alone, as in training.
    Raises ConfigError for a recipe that the plain loop cannot express.
    """
    asked: dict[str, Any] = {
        "recipe": recipe,
        "settings": dict(parse_assignments(settings)),
        "threads": threads,
    }
    config = overlay(load_recipe(recipe), asked["settings"])
    reasons = expressible(config)
    if reasons:
        raise ConfigError(
            f"the plain loop knows no {reasons}, so nothing could be compared",
            where=recipe,
            hint="take another recipe, or switch them off with --set",
        )
    reached = None
    if quality is not None:
        from ganlib.bench.quality import bench_quality

        reached = bench_quality(quality, search=search, say=say)
    machine = measure({**asked, "side": "machine"})
    turns = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        # The order turns around, so that a machine that warms up favours nobody.
        order = ("plain", "ours", "overhead") if number % 2 else ("overhead", "ours", "plain")
        found = {side: measure({**asked, "side": side, "seconds": seconds}) for side in order}
        added = found.pop("overhead")["overhead"]
        turns.append(
            {
                **{f"{side}_images_per_s": found[side]["images_per_s"] for side in sorted(found)},
                "ratio": found["ours"]["images_per_s"] / found["plain"]["images_per_s"],
                "overhead": added,
                "peak_mb": {side: found[side]["peak_mb"] for side in sorted(found)},
                "load_average": os.getloadavg()[0],
            }
        )
    ratios = [turn["ratio"] for turn in turns]
    added = [turn["overhead"] for turn in turns]
    overhead = median(added)
    gflops = {
        side: median(turn[f"{side}_images_per_s"] for turn in turns)
        * machine["flop_per_image"][side]
        / 1e9
        for side in ("ours", "plain")
    }
    promised = recipe == "cifar10" and not settings and threads == 2 and machine["bfloat16"]
    return {
        "recipe": recipe,
        "settings": asked["settings"],
        "images": "random pixels of the recipe's shape",
        "threads": threads,
        "cores": len(os.sched_getaffinity(0)),
        "images_per_s": median(turn["ours_images_per_s"] for turn in turns),
        "plain_images_per_s": median(turn["plain_images_per_s"] for turn in turns),
        "ratio": median(ratios),
        "ratio_spread": [min(ratios), max(ratios)],
        "overhead": overhead,
        "overhead_spread": [min(added), max(added)],
        "mflop_per_image": {side: flop / 1e6 for side, flop in machine["flop_per_image"].items()},
        "gflops": gflops,
        "peak_gflops": machine["peak_gflops"],
        "peak_mb": turns[-1]["peak_mb"],
        "target": {"ratio": TARGET, "overhead": OVERHEAD},
        "quality": reached,
        "passed": median(ratios) >= TARGET and overhead <= OVERHEAD if promised else None,
        "load_average": turns[-1]["load_average"],
        "rounds": turns,
    }


def measure(asked: Mapping[str, Any]) -> dict[str, Any]:
    """One side in a process of its own; raises StageFailed with the end of what it wrote."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", "from ganlib.bench.sides import main; main()", json.dumps(asked)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise StageFailed(
            f"a measurement failed: {done.stderr.strip()[-500:]}", where="bench train"
        )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
