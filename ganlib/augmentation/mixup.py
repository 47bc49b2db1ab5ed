"""Mixtures of two training images each (Zhang et al. 2018). N samples, C channels, H W pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_mixup(count: int, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """partner_N int64, a permutation of the batch, and share_N float64 ~ Beta(alpha, alpha).

    One share for each pair, as the paper's equations have it; its code draws one for the batch.
    """
    partner_N = torch.randperm(count, generator=generator)
    shape_2N = torch.full((2, count), alpha, dtype=torch.float64)
    gamma_2N = torch._standard_gamma(shape_2N, generator=generator)
    # A gamma of a small alpha underflows, and two that do give no ratio.
    own_N, other_N = gamma_2N.clamp(min=torch.finfo(torch.float64).tiny)
    return partner_N, own_N / (own_N + other_N)


def mix(image_NCHW: Tensor, partner_NCHW: Tensor, share_N: Tensor) -> Tensor:
    """share * image + (1 - share) * partner, in the images' precision and memory layout."""
    rest_N111 = (1 - share_N).to(image_NCHW)[:, None, None, None]
    return image_NCHW + rest_N111 * (partner_NCHW - image_NCHW)
