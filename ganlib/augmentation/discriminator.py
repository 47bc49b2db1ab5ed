"""What the discriminator sees, by configuration: first draw for all ranks, then apply to a slice.

N samples, C channels, H W pixels
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import torch
from torch import Tensor

from ganlib.augmentation import ada, diffaugment
from ganlib.augmentation.draws import Draws
from ganlib.config import Ada, Custom, DiffAugment, DiscriminatorAugmentation
from ganlib.config.custom import resolve
from ganlib.errors import ConfigError


@dataclass(frozen=True)
class Augmentation:
    """So many `transforms`, each with a column of its own in the draws, and what they do.

    `change(image_NCHW, draws, p)` gives images of the same shape, in float32 or float64 as they
    came, with every random number from `draws`. It must be differentiable in the image, twice where
    there is a penalty. `p` is the probability of each change of Ada; a user's own is given 1.
    """

    transforms: int
    change: Callable[[Tensor, Draws, Tensor], Tensor]

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """For `count` images, those of the global batch, from a CPU generator.

        How many numbers are drawn depends on `transforms` alone, on no setting, p or size.
        """
        return Draws.make(count, self.transforms, generator)

    def apply(self, image_NCHW: Tensor, draws: Draws, p: Tensor | float) -> Tensor:
        """image_NCHW in [-1, 1] -> the same shape, type and device.

        Computed in float32, or float64 for images of that type. Values may leave [-1, 1] and are
        not clamped.
        """
        wide_NCHW = image_NCHW.to(torch.promote_types(image_NCHW.dtype, torch.float32))
        seen_NCHW = self.change(wide_NCHW, draws.like(wide_NCHW), torch.as_tensor(p).to(wide_NCHW))
        return seen_NCHW.to(image_NCHW.dtype)


def build(config: DiscriminatorAugmentation) -> Augmentation:
    """Those of ganlib are affine in the image, so gradients of any order run through them.

    Raises ConfigError naming build if a user's own cannot be had; it gives an Augmentation.
    """
    match config:
        case DiffAugment():
            return Augmentation(len(diffaugment.TRANSFORMS), partial(_diffaugment, config))
        case Ada():
            return Augmentation(len(ada.TRANSFORMS), ada.ada)
        case Custom():
            return _custom(config)
        case _:
            assert_never(config)


def _diffaugment(config: DiffAugment, image_NCHW: Tensor, draws: Draws, p: Tensor) -> Tensor:
    """It changes every image, whatever p."""
    if config.color:
        image_NCHW = diffaugment.coloured(image_NCHW, draws)
    if config.translation:
        image_NCHW = diffaugment.translated(image_NCHW, draws)
    if config.cutout:
        image_NCHW = diffaugment.cut_out(image_NCHW, draws)
    return image_NCHW


def _custom(config: Custom) -> Augmentation:
    try:
        made = resolve(config.build)(**config.options)
    except TypeError as error:
        raise ConfigError(
            f"{config.build} cannot be called: {error}", where="build", hint="check its options"
        ) from error
    if not isinstance(made, Augmentation):
        raise ConfigError(
            f"{config.build} gives {type(made).__name__}, not a ganlib.augmentation.Augmentation",
            where="build",
        )
    return Augmentation(made.transforms, partial(_checked, config.build, made.change))


def _checked(
    build: str,
    change: Callable[[Tensor, Draws, Tensor], Tensor],
    image_NCHW: Tensor,
    draws: Draws,
    p: Tensor,
) -> Tensor:
    """A mistake here would show as a broadcast or not at all."""
    seen_NCHW = change(image_NCHW, draws, p)
    if seen_NCHW.shape != image_NCHW.shape:
        raise ConfigError(
            f"{build} makes images of shape {tuple(seen_NCHW.shape)} of such of shape "
            f"{tuple(image_NCHW.shape)}",
            where="build",
            hint="its change gives as many images, of the same channels and pixels",
        )
    return seen_NCHW
