"""What samples of a mixture are worth, beside what a perfect sampler's would be.

N samples, M modes, D = 2 dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from ganlib.bench.collapse.gaussians import Mixture
from ganlib.determinism import stream
from ganlib.metrics import Modes

WITHIN = 3.0
ENOUGH = 10
DRAWS = 100


@dataclass(frozen=True)
class Score:
    """Of one seed's samples.

    `quality` is the share within three sigma of the nearest centre, `divergence` the reverse KL in
    nats of those over the modes (None if there are none), `sigma_ratios` a mode's standard
    deviation over the true one (None with fewer than ten samples, or spread as evenly as over a
    disc), `sigma_ratio` their mean.
    """

    modes: int
    quality: float
    divergence: float | None
    sigma_ratio: float | None
    sigma_ratios: tuple[float | None, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Floor:
    """What a perfect sampler scores at this count: means over draws, and how they spread."""

    draws: int
    quality: float
    quality_spread: float
    divergence: float
    divergence_spread: float
    sigma_ratio: float
    lowest_sigma_ratio: float
    highest_sigma_ratio: float


def score(sample_ND: Tensor, mixture: Mixture) -> Score:
    """Samples that are not finite are of no quality."""
    sample_ND = sample_ND.double()
    found = Modes.of_gaussians(sample_ND, mixture.centre_MD, mixture.sigma, WITHIN)
    ratios = _sigma_ratios(sample_ND, mixture)
    told = [ratio for ratio in ratios if ratio is not None]
    return Score(
        modes=found.found(mixture.least),
        quality=found.quality(),
        divergence=found.divergence() if int(found.count_M.sum()) else None,
        sigma_ratio=fmean(told) if told else None,
        sigma_ratios=ratios,
        counts=tuple(found.count_M.tolist()),
    )


def floor(mixture: Mixture, draws: int = DRAWS) -> Floor:
    """Of `draws` sets from the mixture itself; the modes' ratios are the mean lowest and highest of
    a set.
    """
    sets = [
        score(mixture.draw(mixture.judged, stream(0, "collapse/perfect", draw)), mixture)
        for draw in range(draws)
    ]
    told = [[ratio for ratio in one.sigma_ratios if ratio is not None] for one in sets]
    divergences = [one.divergence for one in sets if one.divergence is not None]
    return Floor(
        draws=draws,
        quality=fmean(one.quality for one in sets),
        quality_spread=stdev(one.quality for one in sets),
        divergence=fmean(divergences),
        divergence_spread=stdev(divergences),
        sigma_ratio=fmean(fmean(ratios) for ratios in told),
        lowest_sigma_ratio=fmean(min(ratios) for ratios in told),
        highest_sigma_ratio=fmean(max(ratios) for ratios in told),
    )


def _sigma_ratios(sample_ND: Tensor, mixture: Mixture) -> tuple[float | None, ...]:
    """Of the samples within three sigma, about their own mean, with the cut undone."""
    centre_MD = mixture.centre_MD.double()
    distance_N, mode_N = torch.cdist(sample_ND, centre_MD).min(1)
    near_N = distance_N <= WITHIN * mixture.sigma
    offset_ND = (sample_ND - centre_MD[mode_N]) / mixture.sigma
    ratios: list[float | None] = []
    for mode in range(len(centre_MD)):
        mine_ND = offset_ND[near_N & (mode_N == mode)]
        ratio = uncut(float(mine_ND.var(0).mean())) if len(mine_ND) >= ENOUGH else math.inf
        ratios.append(ratio if math.isfinite(ratio) else None)
    return tuple(ratios)


def uncut(variance: float, within: float = WITHIN) -> float:
    """The sigma of the round Gaussian in the plane that has this `variance` of one coordinate when
    only what lies no further than `within` from its centre is kept.

    With u = within^2 / 2 sigma^2 that variance is sigma^2 (1 - u / (e^u - 1)). It grows with sigma
    towards a uniform disc's, within^2 / 4: infinite from there on.
    """
    if variance >= within**2 / 4:
        return math.inf
    low, high = 0.0, 1e3 * within
    for _ in range(100):
        middle = (low + high) / 2
        u = within**2 / (2 * middle**2)
        kept = middle**2 * (1 - (u / math.expm1(u) if u < 500 else 0.0))
        low, high = (middle, high) if kept < variance else (low, middle)
    return high
