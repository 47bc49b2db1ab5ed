"""Which classes the samples fall into. N samples, K classes."""

from __future__ import annotations

import torch
from torch import Tensor


def class_shares(label_N: Tensor, classes: int) -> Tensor:
    """-> share_K float64, summing to 1."""
    return torch.bincount(label_N, minlength=classes).double() / max(len(label_N), 1)


def entropy(share_K: Tensor) -> float:
    """In nats: ln K when all classes are equally common, 0 when there is only one."""
    return float(torch.special.entr(share_K).sum())


def present(share_K: Tensor, min_share: float) -> int:
    """How many classes hold at least `min_share` of the samples."""
    return int((share_K >= min_share).sum())


def agreement(asked_N: Tensor, judged_N: Tensor) -> float:
    """Share of samples judged to be of the class that was asked for."""
    return float((asked_N == judged_N).double().mean())
