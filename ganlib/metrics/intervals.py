"""Intervals that hold for distances and neighbourhoods, which the bootstrap's repeats would bias.

Values come from sample sets that share no sample; counts of rare events are Poisson's. No interval
leaves the range its figure can have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

import torch

# 97.5 % of a standard normal lie below it.
_Z = 1.959963984540054


def student(degrees: int, z: float = _Z) -> float:
    """The quantile of Student's t where a standard normal has `z`, 97.5 % if it is not given.

    Exact for 1 and 2 degrees; for more it is the expansion in 1 / degrees of Abramowitz and
    Stegun, 26.7.5: to 0.2 % at 97.5 %, too little far out. Raises ValueError for less than one.
    """
    if degrees < 1:
        raise ValueError(f"Student's t has no {degrees} degrees of freedom")
    within = math.erf(z / math.sqrt(2))
    if degrees <= 2 and within == 1:
        return math.inf
    if degrees == 1:
        return math.tan(within * math.pi / 2)
    if degrees == 2:
        return within * math.sqrt(2 / (1 - within**2))
    terms = [z]
    terms.append((z**3 + z) / 4)
    terms.append((5 * z**5 + 16 * z**3 + 3 * z) / 96)
    terms.append((3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    terms.append((79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160)
    return math.fsum(term / degrees**power for power, term in enumerate(terms))


def deviation(values: Sequence[float]) -> float:
    """The standard deviation; NaN for fewer than two values and where one is not finite."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    return stdev(values)


def of_mean(
    values: Sequence[float], least: float = -math.inf, most: float = math.inf, *, cases: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean of what independent sample sets gave, within `least` and `most`.

    Student's t where nothing bounds the values. Where something does it is the score interval
    (Wilson 1927) with the spread that the sets show: a true mean p is kept if the values' mean lies
    no farther from it than Student's t times the error it would have at p, and that error is taken
    to vanish at the ends as a share's does: its square goes with (p - least) (most - p), with
    p - least where there is no upper end. NaN for fewer than two values, and where one of them is
    not finite.

    Shares that all agree show no spread, which is no proof: with `cases`, how many they are of in
    all, it is `of_share`.
    """
    if math.isnan(spread := deviation(values)):
        return math.nan, math.nan
    mean, half = fmean(values), student(len(values) - 1) * spread / math.sqrt(len(values))
    if not half and cases:
        return of_share(mean, cases)
    return _around(mean, half, least, most)


def of_jackknife(
    value: float,
    without: Sequence[float],
    least: float = -math.inf,
    most: float = math.inf,
    *,
    cases: int = 0,
) -> tuple[float, float]:
    """95 % interval of a figure by what it is `without` each of several equal parts of its images.

    The jackknife that leaves out a group at a time (Shao and Wu 1989): for figures of several sets
    of images at once, of which the same share is left out of each. Student's t, bounded and with
    `cases` as `of_mean`. NaN for fewer than two parts, and where one is not finite.
    """
    if math.isnan(spread := deviation(without)):
        return math.nan, math.nan
    parts = len(without)
    half = student(parts - 1) * (parts - 1) / math.sqrt(parts) * spread
    if not half and cases:
        return of_share(value, cases)
    return _around(value, half, least, most)


def _around(mean: float, half: float, least: float, most: float) -> tuple[float, float]:
    """mean give or take half, or the score interval of it where there are ends."""
    if not half or math.isinf(least) or not least < mean < most:
        return mean - half, mean + half
    above, scale = mean - least, 1 / (most - least)  # of no upper end 0
    # (mean - p)^2 = flat (p - least) (1 - scale (p - least)), solved for p.
    flat = half**2 / above / (1 - scale * above)
    root = math.sqrt(flat * above * (1 - scale * above) + flat**2 / 4)
    low, high = ((above + flat / 2 + side) / (1 + scale * flat) for side in (-root, root))
    return least + low, least + high


def of_share(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of `count` independent cases (Wilson 1927); NaN without any."""
    if count < 1:
        return math.nan, math.nan
    scale = 1 + _Z**2 / count
    middle = (share + _Z**2 / (2 * count)) / scale
    half = _Z / scale * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    # By rounding an end may miss the share where that is 0 or 1.
    return min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share)


def of_count(events: int) -> tuple[float, float]:
    """95 % interval of the expectation of a Poisson count (Garwood 1936), by bisection."""

    def at_most(number: int, mean: float) -> float:
        shape = torch.tensor(number + 1.0, dtype=torch.float64)
        return float(torch.special.gammaincc(shape, torch.tensor(mean, dtype=torch.float64)))

    top = events + 10 * math.sqrt(events + 1) + 10
    high = _falls_to(0.025, lambda mean: at_most(events, mean), top)
    low = _falls_to(0.975, lambda mean: at_most(events - 1, mean), top) if events else 0.0
    return low, high


def _falls_to(level: float, falling: Callable[[float], float], top: float) -> float:
    low, high = 0.0, top
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return high
