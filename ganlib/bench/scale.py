"""What more workers give: threads against processes on the CPU, one GPU against all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from ganlib.bench.processes import measure
from ganlib.config import load_recipe, overlay, parse_assignments
from ganlib.errors import ConfigError


def bench_scale(
    recipe: str = "cifar10",
    *,
    settings: Iterable[str] = (),
    threads: int = 2,
    rounds: int = 5,
    seconds: float = 8.0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Images/s of ganlib's loop for each layout, round after round in alternation.

    On the CPU: one process of `threads` threads against as many processes of one thread; with
    GPUs: one against 2, 4 ... and all of them, the recipe's batch shared. Ratios are over the first
    layout of the same round. Raises ConfigError if the batch does not divide by the processes.
    """
    layouts = _layouts(threads)
    changes = dict(parse_assignments(settings))
    asked = {"recipe": recipe, "settings": changes, "side": "ours"}
    batch = overlay(load_recipe(recipe), changes).gan.batch_size
    for name, how in layouts.items():
        if batch % how["world"]:
            raise ConfigError(
                f"a batch of {batch} does not divide by the {how['world']} processes of {name}",
                where="gan.batch_size",
                hint="set it to a multiple of all their numbers with --set",
            )
    turns: list[dict[str, Any]] = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        order = list(layouts.items())[:: -1 if number % 2 else 1]
        found = {name: measure({**asked, "seconds": seconds, **how}) for name, how in order}
        rates = {name: found[name]["images_per_s"] for name in layouts}
        first = rates[next(iter(layouts))]
        turns.append(
            {
                "images_per_s": rates,
                "ratio": {name: rate / first for name, rate in rates.items()},
                "load_average": os.getloadavg()[0],
            }
        )
    ratios = {name: [turn["ratio"][name] for turn in turns] for name in layouts}
    return {
        "recipe": recipe,
        "settings": changes,
        "images": "random pixels of the recipe's shape",
        "cores": len(os.sched_getaffinity(0)),
        "layouts": layouts,
        "images_per_s": {
            name: median(turn["images_per_s"][name] for turn in turns) for name in layouts
        },
        "ratio": {name: median(values) for name, values in ratios.items()},
        "ratio_spread": {name: [min(values), max(values)] for name, values in ratios.items()},
        "load_average": turns[-1]["load_average"],
        "rounds": turns,
    }


def _layouts(threads: int) -> dict[str, dict[str, Any]]:
    import torch

    gpus = torch.cuda.device_count()
    if gpus:
        counts = sorted({1, gpus, *(2**n for n in range(1, gpus.bit_length()) if 2**n < gpus)})
        return {
            f"{count} GPU": {"world": count, "threads": 1, "device": "cuda"} for count in counts
        }
    return {
        f"1 x {threads} threads": {"world": 1, "threads": threads, "device": "cpu"},
        f"{threads} x 1 thread": {"world": threads, "threads": 1, "device": "cpu"},
    }
