"""Inception score (Salimans et al. 2016, section 4), by any classifier. N samples, K classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class InceptionSums:
    """Sums that add across batches and ranks: probability_K, and each sample's sum p ln p."""

    count: int
    probability_K: Tensor
    negentropy: Tensor

    @staticmethod
    def of(logits_NK: Tensor) -> InceptionSums:
        log_NK = logits_NK.double().log_softmax(1)
        probability_NK = log_NK.exp()
        # Where a probability is 0 its logarithm may be infinite; the product is 0.
        negentropy = torch.special.entr(probability_NK).sum().neg()
        return InceptionSums(len(logits_NK), probability_NK.sum(0), negentropy)

    def __add__(self, other: InceptionSums) -> InceptionSums:
        return InceptionSums(
            self.count + other.count,
            self.probability_K + other.probability_K,
            self.negentropy + other.negentropy,
        )

    def score(self) -> float:
        """exp of the mean divergence of p(class | image) from the mean p(class): 1 to K."""
        entropy_of_mean = torch.special.entr(self.probability_K / self.count).sum()
        return float((entropy_of_mean + self.negentropy / self.count).exp())


def inception_score(logits_NK: Tensor) -> float:
    """Of all samples at once: splits of fewer samples score lower."""
    return InceptionSums.of(logits_NK).score()
