"""Sums that add across ranks and a pure finish: how like the real the generated samples are.

Nothing here samples, extracts features or knows a rank.
"""

from ganlib.metrics.accuracy import Confusion, among_best
from ganlib.metrics.calibration import Calibration
from ganlib.metrics.frechet import Moments, distance, scaled_distance
from ganlib.metrics.intervals import of_count, of_mean, of_share
from ganlib.metrics.modes import agreement, class_shares, entropy, present
from ganlib.metrics.neighbours import nearest, squared_radii
from ganlib.metrics.prdc import Prdc, coverage, covered, prdc
from ganlib.metrics.within import class_coverage, class_distance, least_of, mean_of

__all__ = [
    "Calibration",
    "Confusion",
    "Moments",
    "Prdc",
    "agreement",
    "among_best",
    "class_coverage",
    "class_distance",
    "class_shares",
    "coverage",
    "covered",
    "distance",
    "entropy",
    "least_of",
    "mean_of",
    "nearest",
    "of_count",
    "of_mean",
    "of_share",
    "prdc",
    "present",
    "scaled_distance",
    "squared_radii",
]
