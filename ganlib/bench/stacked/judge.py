"""Which of the thousand modes a stack is: a classifier of digits looks at each channel.

N stacks, H W pixels, C = 3 channels, K = 10 digits, M = 1000 modes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.bench.stacked.digits import MODES
from ganlib.metrics import Modes

SURE = 0.9
BATCH = 1_000

Classify = Callable[[Tensor], tuple[Tensor, Tensor]]
"""image_NHWC of one channel -> features, logits_NK: what `evaluation.ClassifierExtractor` is."""


@dataclass(frozen=True)
class Score:
    """`divergence` is the reverse KL in nats from equal shares. `sure` figures count a stack only
    where the product of the three digits' probabilities is .9 or more, since an untrained
    generator's noise falls into hundreds of modes; they are None where no stack counts.
    """

    modes: int
    divergence: float
    sure_modes: int
    sure_share: float
    sure_divergence: float | None


def judged(image_NHWC: Tensor, classify: Classify) -> Score:
    """What (N, H, W, 3) uint8 stacks are worth."""
    nothing = Modes(torch.zeros(MODES, dtype=torch.int64), 0)
    every, sure = nothing, nothing
    for batch_NHWC in torch.split(image_NHWC, BATCH):
        probability_NM = probabilities(batch_NHWC, classify)
        every = every + Modes.of_classes(probability_NM)
        sure = sure + Modes.of_classes(probability_NM, SURE)
    counted = int(sure.count_M.sum())
    return Score(
        modes=every.found(),
        divergence=every.divergence(),
        sure_modes=sure.found(),
        sure_share=sure.quality(),
        sure_divergence=sure.divergence() if counted else None,
    )


def probabilities(image_NHWC: Tensor, classify: Classify) -> Tensor:
    """-> probability_NM, of each channel's digit by itself, multiplied."""
    red_NK, green_NK, blue_NK = (
        classify(image_NHWC[..., channel : channel + 1])[1].float().softmax(1).cpu()
        for channel in range(3)
    )
    return torch.einsum("na,nb,nc->nabc", red_NK, green_NK, blue_NK).flatten(1)
