"""Latent noise as a function of a seed per row. N samples, Z latent."""

from __future__ import annotations

import torch
from torch import Tensor


def noise(seed_N: Tensor, latent_size: int) -> Tensor:
    """(N,) int64 -> z_NZ float32, standard normal, on the CPU.

    Row i depends on seed_N[i] alone, so an image is the same whatever is drawn beside it. Seeds
    that agree modulo 2^32 give the same row: torch's CPU generator reads no more of them.
    """
    generator = torch.Generator()
    z_NZ = torch.empty(len(seed_N), latent_size)
    for row_Z, seed in zip(z_NZ, seed_N.tolist(), strict=True):
        row_Z.normal_(generator=generator.manual_seed(seed))
    return z_NZ
