"""Stacked MNIST: three digits on top of each other as red, green and blue (Metz et al. 2017).

N stacks, D digits, H W pixels, C = 3 channels, M = 1000 modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from ganlib.data import Images
from ganlib.determinism import stream
from ganlib.metrics import Modes

MODES = 1_000
JUDGED = 26_000
DRAWS = 20


@dataclass(frozen=True)
class Floor:
    """The reverse KL, from equal shares, of as many real stacks: mean and spread over draws."""

    draws: int
    divergence: float
    divergence_spread: float


class Stacks:
    """Real stacks; of `fixed` ones, drawn once as the papers do, or of new ones at every draw."""

    def __init__(self, digits: Images, fixed: int = 0) -> None:
        self.digits, self.fixed = digits, fixed
        one = stream(0, "stacked/fixed")
        self.index_TC = torch.randint(len(digits), (fixed, 3), generator=one) if fixed else None

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """-> image_NHWC uint8, mode_N: the digits of red, green and blue as a number of three."""
        index_NC = self._indices(count, generator)
        image_NCHW = self.digits.image_NHWC[index_NC][..., 0]
        return image_NCHW.permute(0, 2, 3, 1).contiguous(), self._modes(index_NC)

    def floor(self, judged: int = JUDGED, draws: int = DRAWS) -> Floor:
        """By the digits' labels, so without a judge's errors."""
        values = []
        for draw in range(draws):
            index_NC = self._indices(judged, stream(draw, "stacked/floor"))
            count_M = torch.bincount(self._modes(index_NC), minlength=MODES)
            values.append(Modes(count_M, judged).divergence())
        return Floor(draws, fmean(values), stdev(values))

    def _indices(self, count: int, generator: torch.Generator) -> Tensor:
        if self.index_TC is None:
            return torch.randint(len(self.digits), (count, 3), generator=generator)
        return self.index_TC[torch.randint(self.fixed, (count,), generator=generator)]

    def _modes(self, index_NC: Tensor) -> Tensor:
        place_C = torch.tensor([100, 10, 1])
        return (self.digits.label_N[index_NC] * place_C).sum(1)
