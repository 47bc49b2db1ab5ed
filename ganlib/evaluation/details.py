"""What an evaluation tells beyond what each reading in training needs.

N real samples, M generated ones, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import torch
from torch import Tensor

from ganlib.evaluation.extractor import Seen
from ganlib.evaluation.pairs import InRanks, Pairs
from ganlib.metrics import (
    Fit,
    InceptionSums,
    KernelSide,
    Modes,
    class_shares,
    least_of,
    mean_of,
    of_class_fits,
    of_each_class,
    smoothed_shares,
)

BLOCK = 8192


def details(
    real: Seen,
    fake: Seen,
    of_class_M: Tensor,
    *,
    names: Sequence[str],
    neighbours: int,
    judging: bool = True,
    scored: bool = False,
    covered_K: Tensor | None = None,
    pairs: Pairs | None = None,
    kernel: KernelSide | None = None,
    fits: Mapping[int, Fit] | None = None,
) -> dict[str, float]:
    """Metric -> value, NaN where there is none; those of one class are named `metric/class`.

    of_class_M is the class of each generated sample: the one asked for, or the judged one where
    the generator cannot be asked; covered_K is their `class_coverage`, if it was already computed.
    `kernel` and `fits` are the real side's `KernelSide` and `class_fits`, likewise.
    Without a judge of these classes it is the kernel distance alone, and where the network is
    `scored` the inception score by its own classes.

    The distance of a class of which nothing was generated is infinite, and so are the mean and the
    largest. class_divergence is the reverse KL from the real images' classes among the samples that
    the judge is sure of (`confident`), confident_share how many it is. The real images count half a
    one more of each class, so that one sample of a class they lack does not make it infinite.
    """
    pairs = pairs or InRanks()
    told = {
        "kernel_distance": pairs.kernel_distance(real.feature_NF, fake.feature_NF, kernel),
        **by_logits(fake, real.label_N, names=names, judging=judging, scored=scored),
    }
    if not judging:
        return told
    if covered_K is None:
        radius_N = pairs.class_radii(real.feature_NF, real.label_N, neighbours)
        covered_N = pairs.class_covered(
            real.feature_NF, real.label_N, radius_N, fake.feature_NF, of_class_M
        )
        covered_K = of_each_class(covered_N, real.label_N, len(names), neighbours)
    fits = fits or pairs.class_fits(real.feature_NF, real.label_N)
    distance_K = of_class_fits(fits, pairs.class_fits(fake.feature_NF, of_class_M), len(names))
    return {
        **told,
        "intra_class_distance": mean_of(distance_K),
        "intra_class_distance_max": -least_of(-distance_K),
        **_by_class("intra_class_coverage", names, covered_K),
        **_by_class("intra_class_distance", names, distance_K),
    }


def by_logits(
    fake: Seen,
    real_label_N: Tensor,
    *,
    names: Sequence[str],
    judging: bool = True,
    scored: bool = False,
) -> dict[str, float]:
    """Those of `details` that look at what the network makes of the generated samples alone.

    Their floors are the held-out images' own: no other images are as new to the judge as these.
    """
    some = torch.split(fake.logits_NK, BLOCK)  # in float64 a block at a time
    told = {}
    if judging or scored:
        told["inception_score"] = reduce(add, map(InceptionSums.of, some)).score()
    if not judging:
        return told
    sure = confident(len(names))
    modes = reduce(add, (Modes.of_classes(one.double().softmax(1), sure) for one in some))
    return {
        **told,
        "class_divergence": modes.divergence(smoothed_shares(real_label_N, len(names))),
        "confident_share": modes.quality(),
        **_by_class("class_share", names, class_shares(fake.judged(), len(names))),
    }


def confident(classes: int) -> float:
    """How likely its likeliest class must be for a sample to count: halfway from chance to certain.

    One half alone would be no gate for two classes, the likelier of which never is less.
    """
    return (1 + 1 / classes) / 2


def _by_class(metric: str, names: Sequence[str], value_K: Tensor) -> dict[str, float]:
    return {f"{metric}/{name}": value for name, value in zip(names, value_K.tolist(), strict=True)}
