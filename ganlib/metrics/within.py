"""Likeness inside each class: a generator that drops half of every class hides it globally.

N real samples, M generated ones, F features, K classes. A class's generated samples are held
against the real ones of the same class, with neighbourhoods among these alone. A `part` does its
blocks of each class and leaves zeros elsewhere, as in `neighbours`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganlib.metrics.frechet import Fit, scaled_distance
from ganlib.metrics.neighbours import Part
from ganlib.metrics.prdc import covered
from ganlib.metrics.screening import squared_radii


def class_coverage(
    real_NF: Tensor,
    real_label_N: Tensor,
    fake_MF: Tensor,
    fake_label_M: Tensor,
    *,
    classes: int,
    k: int,
    real_squared_radius_N: Tensor | None = None,
) -> Tensor:
    """covered_K float64: `coverage` of each class; 0 where nothing was generated.

    NaN for a class of k real samples or fewer, whose neighbourhoods are not defined.
    `real_squared_radius_N` are the `class_radii`, if they were already computed.
    """
    radius_N = real_squared_radius_N
    if radius_N is None:
        radius_N = class_radii(real_NF, real_label_N, k)
    covered_N = class_covered(real_NF, real_label_N, radius_N, fake_MF, fake_label_M)
    return of_each_class(covered_N, real_label_N, classes, k)


def class_radii(feature_NF: Tensor, label_N: Tensor, k: int, *, part: Part = (0, 1)) -> Tensor:
    """radius_N: `squared_radii` of each sample among its own class; 0 where that has only k."""
    radius_N = feature_NF.new_zeros(len(feature_NF), dtype=torch.float64)
    for label in sorted(set(label_N.tolist())):
        own_N = label_N == label
        if int(own_N.sum()) > k:
            radius_N[own_N] = squared_radii(feature_NF[own_N], k, part=_turned(part, label))
    return radius_N


def class_covered(
    real_NF: Tensor,
    real_label_N: Tensor,
    real_squared_radius_N: Tensor,
    fake_MF: Tensor,
    fake_label_M: Tensor,
    *,
    part: Part = (0, 1),
) -> Tensor:
    """covered_N int64: 1 for a real sample whose neighbourhood in its class, of `class_radii`,
    holds a generated sample of that class."""
    covered_N = real_NF.new_zeros(len(real_NF), dtype=torch.int64)
    for label in sorted(set(real_label_N.tolist())):
        own_N, fake = real_label_N == label, fake_MF[fake_label_M == label]
        if len(fake):
            covered_N[own_N] = covered(
                real_NF[own_N], fake, real_squared_radius_N[own_N], part=_turned(part, label)
            )
    return covered_N


def of_each_class(covered_N: Tensor, real_label_N: Tensor, classes: int, k: int) -> Tensor:
    """covered_K of what `class_covered` found, as `class_coverage` gives it."""
    covered_K = torch.full((classes,), math.nan, dtype=torch.float64)
    for label in range(classes):
        own_N = real_label_N == label
        if int(own_N.sum()) > k:
            covered_K[label] = float(covered_N[own_N].double().mean())
    return covered_K


def _turned(part: Part, label: int) -> Part:
    """Another part has the first block of each class: classes of one block are shared too."""
    rank, world = part
    return (rank + label) % world, world


def class_distance(
    real_NF: Tensor,
    real_label_N: Tensor,
    fake_MF: Tensor,
    fake_label_M: Tensor,
    *,
    classes: int,
) -> Tensor:
    """distance_K float64: `scaled_distance` of each class, by the trace of its own covariance.

    Infinite for a class of which none was generated, NaN for one with fewer than two real samples.
    At the counts of one class the distance errs far upwards: only beside real against real at the
    same counts does it tell.
    """
    return of_class_fits(
        class_fits(real_NF, real_label_N), class_fits(fake_MF, fake_label_M), classes
    )


def class_fits(feature_NF: Tensor, label_N: Tensor, *, part: Part = (0, 1)) -> Mapping[int, Fit]:
    """A Gaussian for each class that there is; a `part` has every world-th class."""
    rank, world = part
    return {
        label: Fit.of(feature_NF[(label_N == label).to(feature_NF.device)])
        for label in sorted(set(label_N.tolist()))
        if label % world == rank
    }


def of_class_fits(real: Mapping[int, Fit], fake: Mapping[int, Fit], classes: int) -> Tensor:
    """`class_distance` of the samples these are of."""
    distance_K = torch.full((classes,), math.nan, dtype=torch.float64)
    for label, fit in real.items():
        if fit.count > 1:
            distance_K[label] = scaled_distance(fit, fake[label]) if label in fake else math.inf
    return distance_K


def mean_of(value_K: Tensor) -> float:
    """Of the classes that have a value; NaN if none has."""
    return float(value_K.nanmean())


def least_of(value_K: Tensor) -> float:
    """Of the classes that have a value; NaN if none has."""
    known = value_K[~value_K.isnan()]
    return float(known.min()) if len(known) else math.nan
