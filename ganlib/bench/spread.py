"""50,000 images against 50,000 on several workers: what it takes, and that it is what one finds.

N samples, F features.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.bench.memory import peak_mb
from ganlib.bench.metrics import finite, finite_values, largest, relative
from ganlib.errors import StageFailed
from ganlib.stages.stamp import source_digest
from ganlib.storage import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from ganlib.cluster import RayWorkers
    from ganlib.evaluation.pairs import Pairs

SAME = 1e-9
MEGABYTES = 2_000
CODE = ("bench/memory.py", "bench/spread.py", "cluster/parts.py", "evaluation/pairs.py", "metrics")
FIGURES = ("frechet", "kernel", "prdc")
NEIGHBOURS = 5


def bench_evaluate(
    out: Path,
    *,
    images: int = 50_000,
    sizes: Sequence[int] = (64, 512),
    workers: int = 2,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Frechet and kernel distance and neighbours of `images` each, by `workers` and by one.

    The features are random ones in float32, as networks give them. Each size and number of workers
    has a process and a Ray of its own, in which the figures follow each other; each is written to
    `out` when it is done, and the same call goes on from there. Megabytes are the most held so far
    above what a process held with torch loaded and nothing done: by each worker, by all of them,
    and by the process that asks them, which holds the features themselves; `megabytes` is the most
    of all of these together. `passed` says that no value differs by more than 1e-9 of itself, and
    that they stay within 2 GB. What other code than this has written to `out` is measured anew.
    Raises StageFailed if a process fails.
    """
    cells = [
        cell
        for size in sizes
        for width in sorted({1, workers})
        for cell in _cells(
            out, {"size": size, "workers": width, "images": images, "seed": seed}, say
        )
    ]
    differences = {
        f"{name} at {size}": _apart(cells, size, name)
        for size in sizes
        for name in _names(cells, size)
    }
    megabytes = max(cell["peak_mb"]["workers"] + cell["peak_mb"]["asking"] for cell in cells)
    apart = largest(differences.values())
    return {
        "images": images,
        "sizes": list(sizes),
        "workers": workers,
        "seed": seed,
        "cores": len(os.sched_getaffinity(0)),
        "largest_difference": finite(apart),
        "differences": {name: finite(value) for name, value in differences.items()},
        "megabytes": megabytes,
        "target": {"difference": SAME, "megabytes": MEGABYTES},
        "passed": apart <= SAME and megabytes <= MEGABYTES,
        "load_average": os.getloadavg()[0],
        "cells": [{**cell, "values": finite_values(cell["values"])} for cell in cells],
    }


def _cells(out: Path, asked: dict[str, Any], say: Callable[[str], None]) -> list[dict[str, Any]]:
    name = f"{asked['size']} features, workers: {asked['workers']}"
    left = [figure for figure in FIGURES if not _path(out, asked, figure).exists()]
    say(f"{name}: {', '.join(left) or 'done before'}")
    if left:
        _measure(name, {**asked, "figures": left, "out": str(out.absolute())})
    return [read_json(_path(out, asked, figure)) for figure in FIGURES]


def _path(out: Path, asked: Mapping[str, Any], figure: str) -> Path:
    what = "-".join(f"{name}-{asked[name]}" for name in ("size", "workers", "images", "seed"))
    return out / f"{what}-{figure}-{source_digest(CODE)}.json"


def _measure(name: str, asked: Mapping[str, Any]) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from ganlib.bench.spread import main; main()", json.dumps(asked)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise StageFailed(f"{name} failed: {done.stderr.strip()[-500:]}", where="bench evaluate")


def _names(cells: Sequence[Mapping[str, Any]], size: int) -> list[str]:
    return sorted({name for cell in cells if cell["size"] == size for name in cell["values"]})


def _apart(cells: Sequence[Mapping[str, Any]], size: int, name: str) -> float:
    """Relative, between the most and the least that any number of workers found."""
    found = [c["values"][name] for c in cells if c["size"] == size and name in c["values"]]
    if not all(map(math.isfinite, found)):
        return math.nan
    return relative(max(found), min(found))


def measure(asked: Mapping[str, Any]) -> None:
    """The figures of one size and number of workers, each into its file."""
    import torch

    from ganlib.bench.metrics_sides import features
    from ganlib.cluster import RayWorkers, ray_session
    from ganlib.config import ClusterConfig
    from ganlib.evaluation.pairs import ByWorkers

    torch.set_num_threads(1)
    idle, out = peak_mb(), Path(asked["out"])
    out.mkdir(parents=True, exist_ok=True)
    cluster = ClusterConfig(workers=asked["workers"], threads=1, device="cpu")
    with tempfile.TemporaryDirectory(dir=out, prefix=".features-") as folder:
        real_NF, fake_NF = (
            side.float() for side in features(asked["images"], asked["size"], asked["seed"])[:2]
        )
        with ray_session(cluster, log=out / "ray.log"):
            workers = RayWorkers(cluster, out / "ray.log")
            pairs = ByWorkers(workers, Path(folder))
            for figure in asked["figures"]:
                load, used, started = os.getloadavg()[0], _cpu_s(workers), time.perf_counter()
                values = _figure(figure, pairs, real_NF, fake_NF)
                spent = list(workers.spent.values())
                above = [process.peak_mb - process.idle_mb for process in spent]
                told = {
                    "figure": figure,
                    **{name: asked[name] for name in ("size", "workers", "images", "seed")},
                    "values": values,
                    "seconds": time.perf_counter() - started,
                    "cpu_seconds": _cpu_s(workers) - used,
                    "peak_mb": {
                        "each_worker": above,
                        "workers": sum(above),
                        "asking": peak_mb() - idle,
                    },
                    "idle_mb": [process.idle_mb for process in spent],
                    "load_average": [load, os.getloadavg()[0]],
                }
                write_json(_path(out, asked, figure), told)


def _cpu_s(workers: RayWorkers) -> float:
    return sum(process.cpu_s for process in workers.spent.values())


def _figure(figure: str, pairs: Pairs, real_NF: Tensor, fake_NF: Tensor) -> dict[str, float]:
    from ganlib.metrics import distance

    if figure == "frechet":
        return {figure: distance(pairs.fit(real_NF), pairs.fit(fake_NF))}
    if figure == "kernel":
        return {figure: pairs.kernel_distance(real_NF, fake_NF)}
    real_N, fake_N = (pairs.squared_radii(side, NEIGHBOURS) for side in (real_NF, fake_NF))
    return dict(vars(pairs.compare(real_NF, fake_NF, real_N, fake_N).finish(NEIGHBOURS)))


def main() -> None:
    """Reads one JSON argument."""
    measure(json.loads(sys.argv[1]))
