"""Random numbers as a function of position: no generator state is ever saved."""

from __future__ import annotations

import hashlib

import torch


def sub_seed(seed: int, purpose: str, clock: int = 0) -> int:
    """63 bits that depend on all three and on nothing else."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{clock}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def stream(seed: int, purpose: str, clock: int = 0) -> torch.Generator:
    """A CPU generator for the draws named `purpose` at `clock`: draw for all ranks, then slice."""
    return torch.Generator().manual_seed(sub_seed(seed, purpose, clock))
