"""Dropout whose draws belong to a sample's place in the global batch. N samples, F features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WORD = (1 << 32) - 1


class Dropout(nn.Module):
    """Srivastava et al. 2014, equal on any number of ranks and after a restart.

    What is dropped is a hash of (seed, layer, place in the global batch, feature), so no generator
    has a state to keep and no rank draws another's mask. `key_dropout` says seed and place before
    each step; a module that was never told draws from torch's own generator.
    """

    key_4: Tensor

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.keyed = False
        self.register_buffer("key_4", torch.zeros(4, dtype=torch.int64), persistent=False)

    def forward(self, x_NF: Tensor) -> Tensor:
        """(N, F) -> the same, `share` of it zero and the rest scaled up, in training mode."""
        if not self.training or not self.share:
            return x_NF
        if not self.keyed:
            return F.dropout(x_NF, self.share)
        kept_NF = _hash(self.key_4, *x_NF.shape) >= round(self.share * 2**32)
        return x_NF * kept_NF.to(x_NF.dtype) / (1.0 - self.share)


def key_dropout(module: nn.Module, seed: int, first: int) -> None:
    """The draws of the next forward, for samples from place `first` of the global batch on."""
    layers = [layer for layer in module.modules() if isinstance(layer, Dropout)]
    for number, layer in enumerate(layers):
        key_4 = torch.tensor([seed & _WORD, seed >> 32 & _WORD, number, first])
        layer.key_4.copy_(key_4, non_blocking=True)
        layer.keyed = True


def _hash(key_4: Tensor, count: int, features: int) -> Tensor:
    """-> (count, features) int64, uniform in 0 .. 2**32 - 1."""
    low, high, layer, first = key_4
    row_N = torch.arange(count, device=key_4.device) + first
    column_F = torch.arange(features, device=key_4.device)
    row_N = _mix(_mix(_mix(row_N ^ low) ^ high) ^ layer)
    return _mix(row_N[:, None] ^ _mix(column_F + 1))


def _mix(x: Tensor) -> Tensor:
    """A permutation of 32-bit words in which each bit depends on all (Wellons 2018, lowbias32)."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _WORD
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _WORD
    return x ^ (x >> 16)
