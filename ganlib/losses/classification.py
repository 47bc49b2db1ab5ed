"""Classification losses, per sample. N samples, K classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(
    logits_NK: Tensor, label_N: Tensor, smoothing: float, weight_K: Tensor | None = None
) -> Tensor:
    """-> loss_N in nats, in float32 or higher; the target is (1 - smoothing) label + smoothing / K.

    Szegedy et al. 2016, section 7. `weight_K` multiplies a sample's whole loss by its class's
    weight, so that the mean over a batch is linear in the samples and ranks may add theirs; torch
    divides by the batch's sum of weights instead.
    """
    logits_NK = logits_NK if logits_NK.dtype.itemsize >= 4 else logits_NK.float()
    loss_N = F.cross_entropy(logits_NK, label_N, reduction="none", label_smoothing=smoothing)
    return loss_N if weight_K is None else loss_N * weight_K[label_N]


def balanced_weights(count_K: Tensor) -> Tensor:
    """weight_K float64 with which each class counts equally and the mean over images is one.

    N / (K' count) for the K' classes there are; zero for a class without images.
    """
    count_K = count_K.to(torch.float64)
    there_K = count_K > 0
    even = count_K.sum() / there_K.sum()
    return torch.where(there_K, even / count_K.clamp(min=1), torch.zeros_like(count_K))
