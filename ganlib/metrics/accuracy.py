"""Classification counts that add across batches and ranks. N samples, K classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Confusion:
    """count_KK int64: rows are the true class, columns the predicted one."""

    count_KK: Tensor

    @staticmethod
    def of(label_N: Tensor, predicted_N: Tensor, classes: int) -> Confusion:
        pair_N = label_N * classes + predicted_N
        return Confusion(torch.bincount(pair_N, minlength=classes**2).view(classes, classes))

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.count_KK + other.count_KK)

    def accuracy(self) -> float:
        """Share predicted right; NaN without samples."""
        return float(self.count_KK.diag().sum().double() / self.count_KK.sum())

    def per_class(self) -> Tensor:
        """recall_K float64: share of each class predicted right; NaN for an absent class."""
        return self.count_KK.diag().double() / self.count_KK.sum(1)


def among_best(logits_NK: Tensor, label_N: Tensor, count: int) -> Tensor:
    """hit_N bool: whether the true class is among the `count` with the largest logits."""
    best_NT = logits_NK.topk(count).indices
    return (best_NT == label_N[:, None]).any(1)
