"""What real samples score beside real samples, and how far a reading lies outside of it.

N samples
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from ganlib.collapse.signals import NEIGHBOURS, Reference, Sample
from ganlib.determinism import stream


@dataclass(frozen=True)
class Scale:
    """How a signal's values compare.

    With `ratio` by their quotient, on a logarithmic scale, otherwise by their difference. Collapse
    lowers them, or raises them if it `rises`. `tolerance` is what a generator may be off that has
    not collapsed, beside the chance of drawing: e-folds of a ratio, or the unit of a difference.
    """

    ratio: bool
    tolerance: float
    rises: bool = False

    def place(self, value: float) -> float:
        """Where a value lies on the scale: the higher, the more varied."""
        placed = math.log(max(value, TINIEST)) if self.ratio else value
        return -placed if self.rises else placed


FEWEST = 3 * (NEIGHBOURS + 1)  # real samples
TINIEST = 1e-9
FARTHEST = 20.0  # a score below minus this is as good as nothing left
SCALES = {
    "variance": Scale(ratio=True, tolerance=0.2),
    "neighbour_distance": Scale(ratio=True, tolerance=0.2),
    "effective_rank": Scale(ratio=True, tolerance=0.2),
    "repeated": Scale(ratio=False, tolerance=0.1, rises=True),
    "coverage": Scale(ratio=True, tolerance=0.2),
    "entropy": Scale(ratio=False, tolerance=0.1),
    "least_share": Scale(ratio=False, tolerance=0.1),
    "spread": Scale(ratio=True, tolerance=0.2),
    "least_spread": Scale(ratio=True, tolerance=0.3),
}
NORMAL = 1.4826  # a normal distribution's standard deviation over its median absolute deviation


def scale_of(signal: str) -> Scale | None:
    """Of `pixels/variance` and the like; none for a signal that is told and not judged."""
    return SCALES.get(signal.rpartition("/")[2])


@dataclass(frozen=True)
class Null:
    """`centre` and `spread` of each signal among real samples, on its scale."""

    centre: Mapping[str, float]
    spread: Mapping[str, float]

    @staticmethod
    def of(reference: Reference, others: Sample, *, draws: int, seed: int) -> Null:
        """`draws` subsets of `others`, without replacement, each measured as if it were generated.

        Robustly: the median, and the median absolute deviation times 1.4826, over the root of
        1 - N / M since subsets of N out of M overlap.
        """
        placed: dict[str, list[float]] = {}
        for draw in range(draws):
            order = torch.randperm(len(others), generator=stream(seed, "collapse/null", draw))
            for name, value in reference.measure(others[order[: reference.count]]).items():
                scale = scale_of(name)
                if scale is not None:
                    placed.setdefault(name, []).append(scale.place(value))
        centre = {name: median(values) for name, values in placed.items()}
        overlap = math.sqrt(1 - reference.count / len(others))
        return Null(
            centre,
            {
                name: NORMAL * median(abs(v - centre[name]) for v in values) / overlap
                for name, values in placed.items()
            },
        )

    def scores(self, values: Mapping[str, float]) -> dict[str, float]:
        """How far each signal is outside: 0 as among real samples, below it less varied.

        In units of chance and tolerance together, the root of the sum of their squares; at most 20.
        """
        found = {}
        for name, value in values.items():
            scale = scale_of(name)
            if scale is None or name not in self.centre:
                continue
            unit = math.hypot(self.spread[name], scale.tolerance)
            found[name] = max((scale.place(value) - self.centre[name]) / unit, -FARTHEST)
        return found

    def ratios(self, values: Mapping[str, float]) -> dict[str, float]:
        """As read, but what compares by quotient as a share of what real samples score."""
        found = {}
        for name, value in values.items():
            scale = scale_of(name)
            known = scale is not None and scale.ratio and name in self.centre
            found[name] = value / math.exp(self.centre[name]) if known else value
        return found


def split(reals: Sample, samples: int, seed: int) -> tuple[Sample, Sample]:
    """A fixed sample of at most `samples`, a third of all if they are few, and the others.

    Raises ValueError for fewer than `FEWEST`, a third of which has no more neighbours than are
    looked for.
    """
    if len(reals) < FEWEST:
        raise ValueError(f"{len(reals)} real images are too few: at least {FEWEST}")
    count = min(samples, len(reals) // 3)
    order = torch.randperm(len(reals), generator=stream(seed, "collapse/reals"))
    return reals[order[:count]], reals[order[count:]]


def to_json(null: Null) -> dict[str, Any]:
    return {"centre": dict(null.centre), "spread": dict(null.spread)}
