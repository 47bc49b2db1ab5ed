"""Penalties on the discriminator's slope, per sample, to be differentiated by its weights.

N samples, C channels, H W pixels; points of any other shape (N, ...) will do as well.

All are computed in the precision of the images but at least float32, with autocast off: a squared
slope has twice the range of a slope, and in bfloat16 its gradient is mostly rounding.

The samples must be independent. The logits are summed over the batch before they are
differentiated, which gives each sample its own slope only if no logit reads another sample. Batch
norm in the discriminator breaks that and is refused by the configuration. With minibatch standard
deviation the slope is that of all logits of the sample's group, as StyleGAN2 has it; and packs are
given as packs, one sample each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ganlib.config import Penalties

Discriminate = Callable[[Tensor], Tensor]
"""image_NCHW -> logit_N, in float32 or higher, differentiable twice."""


@dataclass(frozen=True)
class Penalty:
    """`of(discriminate, real_NCHW, fake_NCHW, mix_N) -> penalty_N`, before `weight`.

    It is due in one of `every` discriminator steps, and `weight` is already that many times the
    configured one, so that the sum over steps is what it would be without the interval (Karras et
    al. 2020, section 3.1). `at` says at which images; unless `needs_mix`, mix_N is not read and may
    be None.
    """

    name: str
    every: int
    weight: float
    at: Literal["real", "fake", "mix"]
    of: Callable[[Discriminate, Tensor, Tensor, Tensor | None], Tensor]

    @property
    def needs_mix(self) -> bool:
        return self.at == "mix"


def build_penalties(config: Penalties) -> tuple[Penalty, ...]:
    """Those that are paid, in the order of the configuration."""
    built = []
    if (gp := config.wgan_gp) is not None:
        built.append(Penalty("wgan_gp", gp.every, gp.weight * gp.every, "mix", _of_mix))
    if (real := config.r1) is not None:
        built.append(Penalty("r1", real.every, real.gamma * real.every, "real", _of_real))
    if (fake := config.r2) is not None:
        built.append(Penalty("r2", fake.every, fake.gamma * fake.every, "fake", _of_fake))
    return tuple(built)


def r1(discriminate: Discriminate, real_NCHW: Tensor) -> Tensor:
    """1/2 |grad D(x)|^2 -> penalty_N. Mescheder et al. 2018, eq. 9, before gamma."""
    return _squared_slope(discriminate, real_NCHW) / 2


def r2(discriminate: Discriminate, fake_NCHW: Tensor) -> Tensor:
    """1/2 |grad D(G(z))|^2 -> penalty_N. Mescheder et al. 2018, eq. 10, before gamma."""
    return _squared_slope(discriminate, fake_NCHW) / 2


def wgan_gp(
    discriminate: Discriminate, real_NCHW: Tensor, fake_NCHW: Tensor, mix_N: Tensor
) -> Tensor:
    """(|grad D(mix x + (1 - mix) G(z))| - 1)^2 -> penalty_N. Gulrajani et al. 2017, eq. 3.

    mix_N in [0, 1) is given, so that it can be drawn for the batch over all workers and sliced.
    """
    dtype = _at_least_float32(torch.promote_types(real_NCHW.dtype, fake_NCHW.dtype))
    real_NCHW, fake_NCHW = real_NCHW.to(dtype), fake_NCHW.to(dtype)
    share_N111 = mix_N.to(real_NCHW).view(-1, *[1] * (real_NCHW.ndim - 1))
    squared_N = _squared_slope(discriminate, share_N111 * real_NCHW + (1 - share_N111) * fake_NCHW)
    # A root has no slope at zero. Below 1e-12 the norm stands still; there its second derivative,
    # 1e36, is still a float32.
    return (squared_N.clamp_min(1e-24).sqrt() - 1) ** 2


def _squared_slope(discriminate: Discriminate, image_NCHW: Tensor) -> Tensor:
    image_NCHW = image_NCHW.detach().to(_at_least_float32(image_NCHW.dtype)).requires_grad_()
    with torch.autocast(image_NCHW.device.type, enabled=False):
        (slope_NCHW,) = torch.autograd.grad(
            discriminate(image_NCHW).sum(), image_NCHW, create_graph=True
        )
    return slope_NCHW.square().sum(tuple(range(1, slope_NCHW.ndim)))


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _of_mix(
    discriminate: Discriminate, real_NCHW: Tensor, fake_NCHW: Tensor, mix_N: Tensor | None
) -> Tensor:
    if mix_N is None:
        raise ValueError("wgan_gp needs mix_N, one number in [0, 1) for each sample")
    return wgan_gp(discriminate, real_NCHW, fake_NCHW, mix_N)


def _of_real(
    discriminate: Discriminate, real_NCHW: Tensor, fake_NCHW: Tensor, mix_N: Tensor | None
) -> Tensor:
    return r1(discriminate, real_NCHW)


def _of_fake(
    discriminate: Discriminate, real_NCHW: Tensor, fake_NCHW: Tensor, mix_N: Tensor | None
) -> Tensor:
    return r2(discriminate, fake_NCHW)
