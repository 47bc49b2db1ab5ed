"""`ganlib bench collapse stacked-mnist`: a thousand modes of three digits, with their floor.

`digits` makes the stacks, `judge` tells their modes, `methods` are the GANs (`networks` the small
ones of the hard protocol), `learning` trains one, `cells` keeps a method's seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ganlib.bench.names import Name, Narrow, Protocol, Stacked
from ganlib.bench.quality import judge_of
from ganlib.bench.stacked import published
from ganlib.bench.stacked.cells import Cell, measured
from ganlib.bench.stacked.digits import JUDGED, Stacks
from ganlib.bench.stacked.judge import judged
from ganlib.bench.stacked.learning import Limit
from ganlib.bench.stacked.methods import easy, hard, stacks_of
from ganlib.config import GanConfig, fingerprint, load_recipe, overlay, parse_assignments
from ganlib.data import Dataset, prepare
from ganlib.determinism import stream
from ganlib.evaluation import accuracy_of
from ganlib.storage import read_json, write_json
from ganlib.training.memory import keep_freed

__all__ = ["bench_stacked"]


def bench_stacked(
    out: Path,
    *,
    benchmark: Stacked,
    methods: Sequence[Name],
    seeds: Sequence[int] = (0,),
    protocol: Protocol = "ours",
    narrow: Narrow = "quarter",
    minutes: float = 60.0,
    images: int | None = None,
    settings: Iterable[str] = (),
    shared: Path | None = None,
    fresh: bool = False,
    search: tuple[Path, ...] = (),
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Modes of 26,000 stacks and their reverse KL above that of real ones, by method.

    A LeNet-5 that is trained once, and kept with the digits in `shared` (or `out`), judges. Each
    seed is trained on one thread of a CPU, or on a GPU, for `minutes` or until it has been shown
    `images`. A single method's files are in `out`, those of several in a folder each; the same call
    goes on from where it was. `settings` are dotted paths into `config.GanConfig`. Raises NotFound
    where MNIST cannot be had, ConfigError for a setting that is none, or where `out` holds
    something else, Diverged.
    """
    torch.set_num_threads(1)
    keep_freed()
    changes = parse_assignments(settings)
    small = narrow if benchmark == "stacked-mnist-hard" else None
    configs = {
        name: tuple(overlay(_config(name, protocol, small, seed), changes) for seed in seeds)
        for name in methods
    }
    shared = shared or out
    config = load_recipe("mnist")
    dataset = prepare(config.data, shared / "data", search=search)
    name = f"judge-{fingerprint(config.classifier, dataset.fingerprint)[:8]}"
    judge = judge_of(config, dataset, shared / name, say)
    stacks = Stacks(dataset.load("train"), stacks_of(protocol))
    floor = stacks.floor()
    limit = Limit(minutes, images or 2**40)
    told = [
        measured(
            Cell(benchmark, one, protocol, small, configs[one], limit, name),
            out / one if len(methods) > 1 else out,
            stacks,
            floor,
            judge,
            fresh=fresh,
            say=say,
        )
        for one in methods
    ]
    papers = published.EASY if small is None else published.HARD[small]
    return {
        "benchmark": benchmark,
        "protocol": protocol,
        "discriminator": small,
        "seeds": list(seeds),
        "settings": list(settings),
        "threads": 1,
        "minutes": minutes,
        "floor": asdict(floor),
        "judge": _about(judge, dataset, shared / f"{name}.json"),
        "published": [asdict(one) for one in papers],
        "cells": told,
        "seconds": sum(cell["seconds"] for cell in told),
        "load_average": max(cell["load_average"] for cell in told),
    }


def _config(name: Name, protocol: Protocol, narrow: Narrow | None, seed: int) -> GanConfig:
    if narrow is None:
        return easy(name, protocol, seed)
    return hard(name, narrow, seed)


def _about(judge: Any, dataset: Dataset, path: Path) -> dict[str, Any]:
    """Its accuracy on the test digits, and what it says of stacks of them; kept at `path`."""
    if not path.exists():
        held = dataset.load("test")
        image_NHWC, _ = Stacks(held).draw(JUDGED, stream(0, "stacked/held-out"))
        accuracy = accuracy_of(judge, held.image_NHWC, held.label_N).accuracy
        real = asdict(judged(image_NHWC, judge))
        write_json(path, {"accuracy": accuracy, "of_held_out_stacks": real})
    found: dict[str, Any] = read_json(path)
    return found
