"""Frechet distance between Gaussians fitted to features (Heusel et al. 2017, eq. 6).

N samples, F features. All in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Sums over samples, which add across batches and ranks: the way for what cannot be kept.

    `count`, sum_F and outer_FF = sum of x x^T around `around_F`, a fixed point near the mean that
    all summands share, so that no digits are lost.
    """

    count: int
    sum_F: Tensor
    outer_FF: Tensor
    around_F: Tensor

    @staticmethod
    def of(feature_NF: Tensor, around_F: Tensor | None = None) -> Moments:
        feature_NF = feature_NF.double()
        around_F = torch.zeros_like(feature_NF[0]) if around_F is None else around_F.double()
        centred_NF = feature_NF - around_F
        return Moments(len(feature_NF), centred_NF.sum(0), centred_NF.mT @ centred_NF, around_F)

    def __add__(self, other: Moments) -> Moments:
        """Raises ValueError if the two were not taken around the same point."""
        if not torch.equal(self.around_F, other.around_F):
            raise ValueError("moments around different points do not add")
        return Moments(
            self.count + other.count,
            self.sum_F + other.sum_F,
            self.outer_FF + other.outer_FF,
            self.around_F,
        )

    def mean(self) -> Tensor:
        """mean_F."""
        return self.around_F + self.sum_F / self.count

    def covariance(self) -> Tensor:
        """covariance_FF, unbiased."""
        offset_F = self.sum_F / self.count
        scatter_FF = self.outer_FF - self.count * torch.outer(offset_F, offset_F)
        return scatter_FF / max(self.count - 1, 1)


def distance(real: Tensor | Moments | Fit, fake: Tensor | Moments | Fit) -> float:
    """|mu_r - mu_f|^2 + tr(S_r + S_f - 2 (S_r S_f)^(1/2)), from features, moments or fits.

    The trace of the root is the nuclear norm of R_r R_f^T for any factors S = R^T R: from features
    they come by QR (exact to 1e-11), from moments by eigenvalues (to about 1e-7). No matrix root.
    """
    real_fit, fake_fit = Fit.of(real), Fit.of(fake)
    overlap = torch.linalg.svdvals(real_fit.factor_RF @ fake_fit.factor_RF.mT).sum()
    shift = (real_fit.mean_F - fake_fit.mean_F).square().sum()
    return max(float(shift + real_fit.trace + fake_fit.trace - 2 * overlap), 0.0)


def scaled_distance(real: Tensor | Moments | Fit, fake: Tensor | Moments | Fit) -> float:
    """`distance` over the trace of the real covariance: 1 is the error of giving only the mean.

    Infinite if the real features do not vary and the distance is not zero.
    """
    fit = Fit.of(real)
    apart, trace = distance(fit, fake), float(fit.trace)
    if trace == 0:
        return 0.0 if apart == 0 else float("inf")
    return apart / trace


@dataclass(frozen=True, eq=False)
class Fit:
    """A Gaussian: its mean, a factor with covariance = factor^T factor, and its trace.

    Fits of two sets of samples add to that of both, by another QR: no digits are lost.
    """

    count: int
    mean_F: Tensor
    factor_RF: Tensor
    trace: Tensor

    @staticmethod
    def of(sample: Tensor | Moments | Fit) -> Fit:
        if isinstance(sample, Fit):
            return sample
        if isinstance(sample, Moments):
            value_F, vector_FF = torch.linalg.eigh(sample.covariance())
            factor_FF = value_F.clamp(min=0).sqrt()[:, None] * vector_FF.mT
            return Fit(sample.count, sample.mean(), factor_FF, factor_FF.square().sum())
        feature_NF = sample.double()
        mean_F = feature_NF.mean(0)
        centred_NF = (feature_NF - mean_F) / max(len(feature_NF) - 1, 1) ** 0.5
        factor_RF = torch.linalg.qr(centred_NF, mode="r").R
        return Fit(len(feature_NF), mean_F, factor_RF, factor_RF.square().sum())

    def __add__(self, other: Fit) -> Fit:
        count, apart_F = self.count + other.count, self.mean_F - other.mean_F
        scatter_RF = torch.cat(
            [
                max(self.count - 1, 1) ** 0.5 * self.factor_RF,
                max(other.count - 1, 1) ** 0.5 * other.factor_RF,
                (self.count * other.count / count) ** 0.5 * apart_F[None],
            ]
        )
        factor_RF = torch.linalg.qr(scatter_RF / max(count - 1, 1) ** 0.5, mode="r").R
        mean_F = self.mean_F - other.count / count * apart_F
        return Fit(count, mean_F, factor_RF, factor_RF.square().sum())
