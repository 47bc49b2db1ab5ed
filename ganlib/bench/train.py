"""Training speed against a plain PyTorch loop for the same networks, in alternation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from math import comb
from pathlib import Path
from statistics import median
from typing import Any

from ganlib.bench.processes import measure, player
from ganlib.bench.sides import expressible
from ganlib.config import load_recipe, overlay, parse_assignments
from ganlib.errors import ConfigError

TARGET = 1.9
OVERHEAD = 0.02
TURN_S = 0.5
CONFIDENCE = 0.95
LISTS = ("ratios", "overheads")


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

    In a round both loops stand in processes of their own, with `threads` threads, and after a
    warm-up take turns of half a second, `seconds` each, so that whoever else uses the machine slows
    both. `ratio` is the median of ours over plain, turn by turn; `overhead` the median over reports
    of what the loop adds to the bare step, as a share of it: all time outside the very same steps.
    `ratio_spread` is the least and the most of the rounds' medians; an interval holds the median of
    all turns at 95 %. `gflops` stands beside `peak_gflops`: the recipe's own convolutions, each
    alone at its best.
    `passed` is none but for what is promised: the recipe cifar10 as it stands, on two threads of a
    CPU that multiplies bfloat16.
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
    machine = measure(asked, "peak")
    found = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        found.append(_round(asked, seconds, plain_first=bool(number % 2)))
    ratios = [ratio for one in found for ratio in one["ratios"]]
    added = [share for one in found for share in one["overheads"]]
    overhead = median(added)
    per_round = [one["ratio"] for one in found]
    gflops = {
        side: median(one[f"{side}_images_per_s"] for one in found)
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
        "images_per_s": median(one["ours_images_per_s"] for one in found),
        "plain_images_per_s": median(one["plain_images_per_s"] for one in found),
        "ratio": median(ratios),
        "ratio_spread": [min(per_round), max(per_round)],
        "ratio_interval": interval_of_median(ratios),
        "turns": len(ratios),
        "overhead": overhead,
        "overhead_interval": interval_of_median(added),
        "mflop_per_image": {side: flop / 1e6 for side, flop in machine["flop_per_image"].items()},
        "gflops": gflops,
        "peak_gflops": machine["peak_gflops"],
        "peak_mb": found[-1]["peak_mb"],
        "target": {"ratio": TARGET, "overhead": OVERHEAD},
        "quality": reached,
        "passed": median(ratios) >= TARGET and overhead <= OVERHEAD if promised else None,
        "load_average": found[-1]["load_average"],
        "rounds": [{k: v for k, v in one.items() if k not in LISTS} for one in found],
    }


def _round(asked: Mapping[str, Any], seconds: float, plain_first: bool) -> dict[str, Any]:
    order = ("plain", "ours") if plain_first else ("ours", "plain")
    rates: dict[str, list[float]] = {side: [] for side in sorted(order)}
    with (
        player({**asked, "side": order[0]}) as first,
        player({**asked, "side": order[1]}) as second,
    ):
        players = dict(zip(order, (first, second), strict=True))
        for number in range(max(1, round(seconds / TURN_S))):
            for side in order[:: -1 if number % 2 else 1]:
                rates[side].append(players[side].turn(min(TURN_S, seconds)))
        peak_mb = {side: players[side].end()["peak_mb"] for side in rates}
    added = measure({**asked, "side": "overhead", "seconds": seconds})["overhead"]
    ratios = [ours / plain for ours, plain in zip(rates["ours"], rates["plain"], strict=True)]
    return {
        **{f"{side}_images_per_s": median(rates[side]) for side in rates},
        "ratio": median(ratios),
        "ratios": ratios,
        "overhead": median(added),
        "overheads": added,
        "peak_mb": peak_mb,
        "load_average": os.getloadavg()[0],
    }


def interval_of_median(values: Sequence[float]) -> list[float] | None:
    """Two of the values that hold the median of what they were drawn from, at 95 % or more.

    The k-th least and the k-th largest miss it with twice the chance that fewer than k of n throws
    of a fair coin are heads (the sign test's interval). None for fewer than six values, which
    cannot be that sure.
    """
    n, missed, k = len(values), 0.0, 0
    while missed + 2 * comb(n, k) / 2**n <= 1 - CONFIDENCE:
        missed += 2 * comb(n, k) / 2**n
        k += 1
    if not k:
        return None
    ordered = sorted(values)
    return [ordered[k - 1], ordered[n - k]]
