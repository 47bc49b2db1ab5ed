"""Classification losses, per sample. N samples, K classes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits_NK: Tensor, label_N: Tensor, smoothing: float) -> Tensor:
    """-> loss_N in nats, in float32 or higher; the target is (1 - smoothing) label + smoothing / K.

    Szegedy et al. 2016, section 7.
    """
    logits_NK = logits_NK if logits_NK.dtype.itemsize >= 4 else logits_NK.float()
    return F.cross_entropy(logits_NK, label_N, reduction="none", label_smoothing=smoothing)
