"""Sums that add across ranks and a pure finish: how like the real the generated samples are.

Nothing here samples, extracts features or knows a rank.
"""

from ganlib.metrics.accuracy import Confusion, among_best
from ganlib.metrics.calibration import Calibration
from ganlib.metrics.frechet import Fit, Moments, distance, scaled_distance
from ganlib.metrics.inception_score import InceptionSums, inception_score
from ganlib.metrics.intervals import deviation, of_count, of_jackknife, of_mean, of_share
from ganlib.metrics.kernel import KernelMoments, KernelSide, KernelSums, kernel_distance
from ganlib.metrics.modes import (
    Modes,
    agreement,
    class_shares,
    divergence,
    entropy,
    present,
    smoothed_shares,
)
from ganlib.metrics.neighbours import nearest, nearest_squared
from ganlib.metrics.prdc import Prdc, PrdcSums, coverage, prdc
from ganlib.metrics.presence import present_between, present_by_chance
from ganlib.metrics.screening import squared_radii
from ganlib.metrics.support import near_pairs, near_radius, quantile_apart, support
from ganlib.metrics.within import (
    class_coverage,
    class_covered,
    class_distance,
    class_fits,
    class_radii,
    least_of,
    mean_of,
    of_class_fits,
    of_each_class,
)

__all__ = [
    "Calibration",
    "Confusion",
    "Fit",
    "InceptionSums",
    "KernelMoments",
    "KernelSide",
    "KernelSums",
    "Modes",
    "Moments",
    "Prdc",
    "PrdcSums",
    "agreement",
    "among_best",
    "class_coverage",
    "class_covered",
    "class_distance",
    "class_fits",
    "class_radii",
    "class_shares",
    "coverage",
    "deviation",
    "distance",
    "divergence",
    "entropy",
    "inception_score",
    "kernel_distance",
    "least_of",
    "mean_of",
    "near_pairs",
    "near_radius",
    "nearest",
    "nearest_squared",
    "of_class_fits",
    "of_count",
    "of_each_class",
    "of_jackknife",
    "of_mean",
    "of_share",
    "prdc",
    "present",
    "present_between",
    "present_by_chance",
    "quantile_apart",
    "scaled_distance",
    "smoothed_shares",
    "squared_radii",
    "support",
]
