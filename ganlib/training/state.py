"""State as one flat mapping of names to tensors, as snapshots store it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def join(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """`<part>.<name>` for every tensor of every part."""
    return {
        f"{owner}.{name}": tensor
        for owner, named in parts.items()
        for name, tensor in named.items()
    }


def part(state: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    """What `join` was given for `owner`."""
    prefix = f"{owner}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
