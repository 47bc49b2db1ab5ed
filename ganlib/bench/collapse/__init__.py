"""`ganlib bench collapse`: the public benchmarks of mode collapse, with the floor of each.

`gaussians` says what is to be covered, `methods` by what, `game` how they learn (`batched` networks
of many seeds, `drawing` all that is random), `scoring` what samples are worth, `cells` keeps one
method on one benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ganlib.bench.collapse import published, scoring
from ganlib.bench.collapse.cells import Cell, measured
from ganlib.bench.collapse.gaussians import mixture
from ganlib.bench.collapse.methods import method
from ganlib.bench.names import Name, Plane, Protocol
from ganlib.config import overlay, parse_assignments
from ganlib.training.memory import keep_freed

__all__ = ["bench_collapse"]

TUNING_SEEDS = (*range(100, 113), *range(300, 310))


def bench_collapse(
    out: Path,
    *,
    benchmark: Plane,
    methods: Sequence[Name],
    seeds: Sequence[int] = tuple(range(10)),
    protocol: Protocol = "ours",
    iterations: int | None = None,
    settings: Iterable[str] = (),
    fresh: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Modes, quality, reverse KL above its floor and the modes' widths, by method.

    All seeds of a method learn at once, in one network whose weights have a seed's axis. A single
    method's files are in `out`, those of several in a folder each; every method is kept as soon as
    it is done, and the same call goes on from where it was. `settings` are dotted paths into
    `methods.Method`. Raises ConfigError for a setting that is none, or where `out` holds something
    else.
    """
    torch.set_num_threads(1)
    keep_freed()
    changes = parse_assignments(settings)
    if iterations is not None:
        changes["iterations"] = iterations
    cells = [
        Cell(benchmark, name, protocol, overlay(method(name, protocol), changes), tuple(seeds))
        for name in methods
    ]
    perfect = scoring.floor(mixture(benchmark))
    told = [
        measured(cell, out / cell.name if len(cells) > 1 else out, perfect, fresh=fresh, say=say)
        for cell in cells
    ]
    return {
        "benchmark": benchmark,
        "protocol": protocol,
        "seeds": list(seeds),
        "tuning_seeds": list(TUNING_SEEDS),
        "settings": list(settings),
        "threads": 1,
        "floor": asdict(perfect),
        "published": {name: asdict(one) for name, one in published.PUBLISHED[benchmark].items()},
        "cells": told,
        "seconds": sum(cell["seconds"] for cell in told),
        "cpu_seconds": sum(cell["cpu_seconds"] for cell in told),
        "load_average": max(cell["load_average"] for cell in told),
    }
