"""Which classes or modes the samples fall into. N samples, K classes, M modes, D dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def class_shares(label_N: Tensor, classes: int) -> Tensor:
    """-> share_K float64, summing to 1."""
    return torch.bincount(label_N, minlength=classes).double() / max(len(label_N), 1)


def smoothed_shares(label_N: Tensor, classes: int) -> Tensor:
    """`class_shares` with half a sample more of each class (Krichevsky and Trofimov 1981).

    None is 0: that a class is absent from a sample is no proof that it does not exist.
    """
    count_K = torch.bincount(label_N, minlength=classes).double() + 0.5
    return count_K / count_K.sum()


def entropy(share_K: Tensor) -> float:
    """In nats: ln K when all classes are equally common, 0 when there is only one."""
    return float(torch.special.entr(share_K).sum())


def present(share_K: Tensor, true_share_K: Tensor, min_share: float) -> int:
    """How many classes hold at least `min_share` of the samples, or half of their true share where
    that is less: of fifty classes even the truth gives each no more than 2 %.
    """
    return int((share_K >= least_shares(true_share_K, min_share)).sum())


def least_shares(true_share_K: Tensor, min_share: float) -> Tensor:
    """share_K from which a class is `present`."""
    half_K = true_share_K.double() / 2
    return half_K.where(half_K > 0, torch.inf).clamp(max=min_share)


def agreement(asked_N: Tensor, judged_N: Tensor) -> float:
    """Share of samples judged to be of the class that was asked for."""
    return float((asked_N == judged_N).double().mean())


def divergence(share_K: Tensor, true_share_K: Tensor) -> float:
    """Reverse KL in nats, sum of share ln(share / true share): infinite for what should not be."""
    present_K = share_K > 0
    ratio = share_K[present_K] / true_share_K[present_K]
    return float((share_K[present_K] * ratio.log()).sum())


@dataclass(frozen=True, eq=False)
class Modes:
    """Samples of known modes that a judge is sure of: count_M of each, and how many were judged."""

    count_M: Tensor
    samples: int

    @staticmethod
    def of_classes(probability_NM: Tensor, confidence: float = 0.0) -> Modes:
        """By a classifier whose classes are the modes; below `confidence` a sample counts for none.

        The gate is there because an untrained generator's noise falls into many classes.
        """
        sure_N, mode_N = probability_NM.max(1)
        counted_M = torch.bincount(mode_N[sure_N >= confidence], minlength=probability_NM.shape[1])
        return Modes(counted_M, len(probability_NM))

    @staticmethod
    def of_gaussians(
        sample_ND: Tensor, centre_MD: Tensor, sigma: float, within: float = 3
    ) -> Modes:
        """By the nearest centre, if it is no more than `within` sigmas away."""
        distance_N, mode_N = torch.cdist(sample_ND.double(), centre_MD.double()).min(1)
        near_N = mode_N[distance_N <= within * sigma]
        return Modes(torch.bincount(near_N, minlength=len(centre_MD)), len(sample_ND))

    def __add__(self, other: Modes) -> Modes:
        return Modes(self.count_M + other.count_M, self.samples + other.samples)

    def found(self, least: int = 1) -> int:
        """Modes with at least `least` samples."""
        return int((self.count_M >= least).sum())

    def quality(self) -> float:
        """The share of samples that counted for some mode."""
        return int(self.count_M.sum()) / max(self.samples, 1)

    def divergence(self, true_share_M: Tensor | None = None) -> float:
        """Reverse KL of the counted ones from the truth, equal shares if none is given.

        NaN if no sample counted.
        """
        total = int(self.count_M.sum())
        if total == 0:
            return float("nan")
        if true_share_M is None:
            true_share_M = torch.full((len(self.count_M),), 1 / len(self.count_M)).double()
        return divergence(self.count_M.double() / total, true_share_M)


def perfect_divergence(
    true_share_M: Tensor, samples: int, seed: int, draws: int = 20
) -> tuple[float, float]:
    """What a perfect sampler's reverse KL is at this many samples, by drawing: mean and spread.

    It is never 0, since its counts are not the truth: about (M - 1) / 2 samples.
    """
    generator = torch.Generator().manual_seed(seed)
    share_M = true_share_M.double().cpu() / true_share_M.double().sum().cpu()
    values = []
    for _ in range(draws):
        mode_N = torch.multinomial(share_M, samples, replacement=True, generator=generator)
        values.append(divergence(class_shares(mode_N, len(share_M)), share_M))
    drawn = torch.tensor(values, dtype=torch.float64)
    return float(drawn.mean()), float(drawn.std())
