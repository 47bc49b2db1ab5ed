"""Mixtures of Gaussians in the plane: what is to be covered, and how it is judged.

N samples, M modes, D = 2 dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor

from ganlib.bench.names import Plane


@dataclass(frozen=True, eq=False)
class Mixture:
    """Equally likely round Gaussians; `judged` samples are looked at, and a mode is found when
    `least` of them are of high quality.
    """

    centre_MD: Tensor
    sigma: float
    judged: int
    least: int

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """-> sample_ND float32."""
        mode_N = torch.randint(len(self.centre_MD), (count,), generator=generator)
        return self.centre_MD[mode_N] + self.sigma * torch.randn(count, 2, generator=generator)

    def spread(self) -> float:
        """The standard deviation of one coordinate."""
        return float((self.centre_MD.square().mean() + self.sigma**2).sqrt())


def mixture(plane: Plane) -> Mixture:
    """Ring and grid are those of VEEGAN (Srivastava et al. 2017) as PacGAN (Lin et al. 2018) has
    them; the grid of a hundred is harder, and asks for ten samples of each mode.
    """
    match plane:
        case "ring":
            angle_M = torch.arange(8) * (2 * math.pi / 8)
            return Mixture(torch.stack([angle_M.cos(), angle_M.sin()], 1), 0.01, 2_500, 1)
        case "grid":
            return Mixture(_grid([-4, -2, 0, 2, 4]), 0.05, 2_500, 1)
        case "grid100":
            return Mixture(_grid([step - 4.5 for step in range(10)]), 0.03, 20_000, 10)
        case _:
            assert_never(plane)


def _grid(side: list[float]) -> Tensor:
    return torch.cartesian_prod(*2 * [torch.tensor(side, dtype=torch.float32)])
