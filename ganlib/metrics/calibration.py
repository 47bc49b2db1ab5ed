"""Whether a classifier is right as often as it is sure. N samples, K classes, B bins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Sums over the samples of each bin of confidence: sum_3B float64.

    The rows are how many there are, their confidence, and how many are right. Bin b holds what
    lies in (b / B, (b + 1) / B].
    """

    sum_3B: Tensor

    @staticmethod
    def of(probability_NK: Tensor, label_N: Tensor, bins: int = BINS) -> Calibration:
        """The confidence is the largest probability, and the class that has it is the answer."""
        confidence_N, predicted_N = probability_NK.double().max(1)
        bin_N = ((confidence_N * bins).ceil().long() - 1).clamp(0, bins - 1)
        right_N = (predicted_N == label_N).double()
        rows = (torch.ones_like(confidence_N), confidence_N, right_N)
        return Calibration(
            torch.stack([torch.bincount(bin_N, row_N, minlength=bins) for row_N in rows])
        )

    @staticmethod
    def nothing(bins: int = BINS) -> Calibration:
        return Calibration(torch.zeros(3, bins, dtype=torch.float64))

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(self.sum_3B + other.sum_3B)

    def error(self) -> float:
        """Guo et al. 2017, eq. 3: the bins' |accuracy - confidence|, by how many are in them.

        NaN without samples.
        """
        count_B, confidence_B, right_B = self.sum_3B
        return float((right_B - confidence_B).abs().sum() / count_B.sum())
