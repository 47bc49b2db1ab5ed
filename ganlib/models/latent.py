"""Latent noise: as a function of a seed per row, or a batch at once. N samples, Z latent."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor, nn

Latent = Literal["normal", "uniform"]
"""Standard normal, or uniform between -1 and 1."""


def noise(seed_N: Tensor, latent_size: int, kind: Latent = "normal") -> Tensor:
    """(N,) int64 -> z_NZ float32 of the distribution `kind`, on the CPU.

    Row i depends on seed_N[i] alone, so an image is the same whatever is drawn beside it. Seeds
    that agree modulo 2^32 give the same row: torch's CPU generator reads no more of them.
    """
    generator = torch.Generator()
    z_NZ = torch.empty(len(seed_N), latent_size)
    for row_Z, seed in zip(z_NZ, seed_N.tolist(), strict=True):
        _fill(row_Z, kind, generator.manual_seed(seed))
    return z_NZ


def draw(count: int, latent_size: int, kind: Latent, generator: torch.Generator) -> Tensor:
    """-> z_NZ float32 of `count` rows, all from one generator: what training draws for a batch."""
    return _fill(torch.empty(count, latent_size), kind, generator)


def kind_of(generator: nn.Module) -> Latent:
    """What a generator's noise is drawn from: its `latent`, or normal where it names none.

    A user's own network may have something else by that name, which says nothing about noise.
    """
    return "uniform" if getattr(generator, "latent", None) == "uniform" else "normal"


def _fill(z: Tensor, kind: Latent, generator: torch.Generator) -> Tensor:
    match kind:
        case "normal":
            return z.normal_(generator=generator)
        case "uniform":
            return z.uniform_(-1, 1, generator=generator)
        case _:
            assert_never(kind)
