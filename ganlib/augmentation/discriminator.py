"""What the discriminator sees, by configuration: first draw for all ranks, then apply to a slice.

N samples, C channels, H W pixels
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from ganlib.augmentation import ada, diffaugment
from ganlib.augmentation.draws import Draws
from ganlib.config import Ada, DiffAugment, DiscriminatorAugmentation


def draw(config: DiscriminatorAugmentation, count: int, generator: torch.Generator) -> Draws:
    """For `count` images, those of the global batch, from a CPU generator.

    How many numbers are drawn depends on the kind alone, on no setting, p, size or channels.
    """
    match config:
        case DiffAugment():
            return Draws.make(count, len(diffaugment.TRANSFORMS), generator)
        case Ada():
            return Draws.make(count, len(ada.TRANSFORMS), generator)
        case _:
            assert_never(config)


def apply(
    config: DiscriminatorAugmentation, image_NCHW: Tensor, draws: Draws, p: Tensor | float
) -> Tensor:
    """image_NCHW in [-1, 1] -> the same shape, type and device.

    Affine in the image, so gradients of any order run through it. Computed in float32, or float64
    for images of that type. `p` is the probability of each change of Ada; DiffAugment, which
    changes every image, takes no notice of it. Values may leave [-1, 1] and are not clamped.
    """
    wide_NCHW = image_NCHW.to(torch.promote_types(image_NCHW.dtype, torch.float32))
    draws = draws.like(wide_NCHW)
    match config:
        case DiffAugment(color=color, translation=translation, cutout=cutout):
            if color:
                wide_NCHW = diffaugment.coloured(wide_NCHW, draws)
            if translation:
                wide_NCHW = diffaugment.translated(wide_NCHW, draws)
            if cutout:
                wide_NCHW = diffaugment.cut_out(wide_NCHW, draws)
        case Ada():
            wide_NCHW = ada.ada(wide_NCHW, draws, torch.as_tensor(p).to(wide_NCHW))
        case _:
            assert_never(config)
    return wide_NCHW.to(image_NCHW.dtype)
