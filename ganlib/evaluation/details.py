"""What an evaluation tells beyond what each reading in training needs: class by class.

N real samples, M generated ones, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ganlib.evaluation.extractor import Seen
from ganlib.metrics import class_coverage, class_distance, class_shares, least_of, mean_of


def details(
    real: Seen, fake: Seen, of_class_M: Tensor, *, names: Sequence[str], neighbours: int
) -> dict[str, float]:
    """Metric -> value, NaN where there is none; those of one class are named `metric/class`.

    of_class_M is the class of each generated sample: the one asked for, or the judged one where
    the generator cannot be asked.
    """
    features = real.feature_NF, real.label_N, fake.feature_NF, of_class_M
    covered_K = class_coverage(*features, classes=len(names), k=neighbours)
    distance_K = class_distance(*features, classes=len(names))
    share_K = class_shares(fake.judged(), len(names))
    return {
        "intra_class_distance": mean_of(distance_K),
        "intra_class_distance_max": -least_of(-distance_K),
        **_by_class("intra_class_coverage", names, covered_K),
        **_by_class("intra_class_distance", names, distance_K),
        **_by_class("class_share", names, share_K),
    }


def _by_class(metric: str, names: Sequence[str], value_K: Tensor) -> dict[str, float]:
    return {f"{metric}/{name}": value for name, value in zip(names, value_K.tolist(), strict=True)}
