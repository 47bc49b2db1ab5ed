"""What a metric's name tells: its ends, and which layer it looks at. K classes."""

from __future__ import annotations

import math

_SHARES = (
    "class_share",
    "classification_accuracy",
    "confident_share",
    "coverage",
    "intra_class_coverage",
    "intra_class_coverage_min",
    "label_agreement",
    "precision",
    "recall",
)
_OF_LOGITS = (
    "class_divergence",
    "class_entropy",
    "class_share",
    "classes_present",
    "confident_share",
    "inception_score",
    "label_agreement",
)


def is_share(metric: str) -> bool:
    """Whether it counts images, of which some number is a share."""
    return metric.partition("/")[0] in _SHARES


def seen_in(metric: str, extractor: str) -> str:
    """The extractor `network:layer` with the layer that the metric looks at."""
    network = extractor.partition(":")[0]
    return f"{network}:logits" if metric.partition("/")[0] in _OF_LOGITS else extractor


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
