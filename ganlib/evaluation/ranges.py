"""Between which ends a metric can lie, so that no interval leaves them. K classes."""

from __future__ import annotations

import math

_SHARES = (
    "class_share",
    "confident_share",
    "coverage",
    "intra_class_coverage",
    "intra_class_coverage_min",
    "label_agreement",
    "precision",
    "recall",
)


def ends(metric: str, classes: int) -> tuple[float, float]:
    """(least, most), infinite where there is none: the kernel distance may fall below zero."""
    match head := metric.partition("/")[0]:
        case "kernel_distance":
            return -math.inf, math.inf
        case "inception_score":
            return 1.0, float(classes)
        case "class_entropy":
            return 0.0, math.log(classes)
        case "classes_present":
            return 0.0, float(classes)
        case _:
            return 0.0, 1.0 if head in _SHARES else math.inf
