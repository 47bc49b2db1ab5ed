"""The same figures from the same features by ganlib and by others, each in a process of its own.

N samples, F features, K classes, S subsets, B rows of one.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib.bench.fidelity import torchvision
from ganlib.bench.memory import forget_peak, held_mb, peak_mb

CLASSES, NEIGHBOURS, SUBSETS, ROWS, SPLITS = 10, 5, 100, 1000, 10
# What torch-fidelity draws its subsets and its order with.
FIDELITY_SEED = 2020


def features(count: int, size: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """real_NF, fake_NF float64 of full rank, like a network's after its ReLU, and logits_NK."""
    draws = torch.Generator().manual_seed(seed)
    mix_FF = torch.randn(size, size, generator=draws).double() / size**0.5
    real_NF, fake_NF = (
        (torch.randn(count, size, generator=draws).double() @ mix_FF + shift).relu()
        for shift in (0.5, 0.6)
    )
    head_FK = torch.randn(size, CLASSES, generator=draws).double() / size**0.5
    return real_NF, fake_NF, 4 * fake_NF @ head_FK


def ours(real_NF: Tensor, fake_NF: Tensor, logits_NK: Tensor) -> dict[str, Callable[[], Any]]:
    from ganlib.metrics import distance, inception_score, prdc
    from ganlib.metrics.kernel import subset_distances

    def kid() -> float:
        draws = np.random.RandomState(FIDELITY_SEED)
        rows = min(ROWS, len(real_NF))
        subsets = [
            tuple(
                torch.from_numpy(draws.choice(len(side), rows, replace=False))
                for side in (real_NF, fake_NF)
            )
            for _ in range(SUBSETS)
        ]
        return float(subset_distances(real_NF, fake_NF, subsets).mean())  # type: ignore[arg-type]

    def score() -> float:
        order = np.random.RandomState(FIDELITY_SEED).permutation(len(logits_NK))
        parts = np.array_split(order, SPLITS)
        return float(np.mean([inception_score(logits_NK[part]) for part in parts]))

    return {
        "frechet": lambda: distance(real_NF, fake_NF),
        "kernel": kid,
        "prdc": lambda: vars(prdc(real_NF, fake_NF, NEIGHBOURS)),
        "inception_score": score,
    }


def others(real_NF: Tensor, fake_NF: Tensor, logits_NK: Tensor) -> dict[str, Callable[[], Any]]:
    """torch-fidelity's functions of features and prdc's; raises ImportError without them."""
    sys.modules.update(torchvision())
    fid = importlib.import_module("torch_fidelity.metric_fid")
    kid = importlib.import_module("torch_fidelity.metric_kid")
    isc = importlib.import_module("torch_fidelity.metric_isc")
    counted = importlib.import_module("prdc")
    real, fake = real_NF.numpy(), fake_NF.numpy()

    def frechet() -> float:
        a, b = (fid.fid_features_to_statistics(side) for side in (real_NF, fake_NF))
        return float(fid.fid_statistics_to_metric(a, b, False)[fid.KEY_METRIC_FID])

    def kernel() -> float:
        rows = min(ROWS, len(real_NF))
        told = kid.kid_features_to_metric(
            real_NF, fake_NF, kid_subsets=SUBSETS, kid_subset_size=rows, verbose=False,
            rng_seed=FIDELITY_SEED, kid_kernel="poly", kid_kernel_poly_degree=3,
            kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1,
        )  # fmt: skip
        return float(told[kid.KEY_METRIC_KID_MEAN])

    def score() -> float:
        told = isc.isc_features_to_metric(logits_NK, SPLITS, True, FIDELITY_SEED)
        return float(told[isc.KEY_METRIC_ISC_MEAN])

    def neighbours() -> dict[str, float]:
        told = counted.compute_prdc(real, fake, NEIGHBOURS)
        return {name: float(value) for name, value in told.items()}

    return {
        "frechet": frechet,
        "kernel": kernel,
        "prdc": neighbours,
        "inception_score": score,
        "frechet_scipy": lambda: _by_root(real, fake),
    }


def _by_root(real: Any, fake: Any) -> float:
    """Heusel et al. 2017, eq. 6, with SciPy's root of a matrix."""
    linalg = importlib.import_module("scipy.linalg")
    a, b = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = np.trace(linalg.sqrtm(a @ b)).real
    shift = np.square(real.mean(0) - fake.mean(0)).sum()
    return float(shift + np.trace(a) + np.trace(b) - 2 * root)


def measured(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Values, wall and processor seconds of each, and megabytes above the features at the peak.

    What making the features took is forgotten, or, by a kernel that cannot, counts for both sides.
    """
    torch.set_num_threads(asked["threads"])
    given = features(asked["count"], asked["size"], asked["seed"])
    sides = {"ours": ours, "others": others}
    todo = sides[asked["side"]](*given)
    forget_peak()
    before = held_mb()
    values, wall, busy = {}, {}, {}
    for name, work in todo.items():
        started, worked = time.perf_counter(), time.process_time()
        values[name] = work()
        wall[name] = time.perf_counter() - started
        busy[name] = time.process_time() - worked
    return {"values": values, "seconds": wall, "cpu_seconds": busy, "peak_mb": peak_mb() - before}


def main() -> None:
    """Reads one JSON argument, writes one JSON line."""
    print(json.dumps(measured(json.loads(sys.argv[1]))))
