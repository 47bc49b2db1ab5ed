"""A discriminator that looks at more images of a pack than it did, and begins by not seeing them.

M images of a pack, C channels
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

OWN, MOMENTS = "discriminator.", "discriminator_optimiser."


def widened(state: Mapping[str, Tensor], discriminator: nn.Module) -> dict[str, Tensor]:
    """A task's `state` for `discriminator`, which takes as many channels more as it now lacks.

    Weights of new channels are zero, so logits are what they were for the images before (Lin et al.
    2018 train packs from the start), as long as the mean of a pack's classes is; spectral norm sees
    the same singular values. Layers that grow begin with fresh moments. A state that fits is given
    back as it is. Raises RuntimeError for any other difference of shapes.
    """
    found = dict(state)
    for name, wanted in discriminator.state_dict().items():
        tensor = state[OWN + name]
        if tensor.shape == wanted.shape:
            continue
        found[OWN + name] = _inserted(name, tensor, wanted, _planes(discriminator))
        for key in state:
            if key.startswith(MOMENTS) and key.removeprefix(MOMENTS).partition(".")[2] == name:
                del found[key]
    return found


def _planes(discriminator: nn.Module) -> int:
    """Channels of classes, which stand behind those of images."""
    planes: int = getattr(getattr(discriminator, "entrance", None), "classes", 0)
    return planes


def _inserted(name: str, tensor: Tensor, wanted: Tensor, planes: int) -> Tensor:
    here, there = list(tensor.shape), list(wanted.shape)
    grows = len(here) == len(there) >= 2 and here[:1] + here[2:] == there[:1] + there[2:]
    if not grows or there[1] < here[1]:
        raise RuntimeError(f"{name} is {here}, and was to become {there}")
    new = torch.zeros((here[0], there[1] - here[1], *here[2:]), dtype=tensor.dtype)
    at = here[1] - planes
    return torch.cat([tensor[:, :at], new.to(tensor.device), tensor[:, at:]], 1)
