"""Adversarial objectives as pairs of functions, per sample, each to be minimised.

N samples. A logit above zero says real.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import torch.nn.functional as F
from torch import Tensor

from ganlib.config import (
    AdversarialLoss,
    Custom,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RelativisticPaired,
    Wasserstein,
)
from ganlib.config.custom import resolve
from ganlib.errors import ConfigError


@dataclass(frozen=True)
class Adversarial:
    """`discriminator(real_logit_N, fake_logit_N) -> loss_N` and
    `generator(fake_logit_N, real_logit_N) -> loss_N`.

    Unless `relativistic`, the generator's loss does not read the real logits and may be given
    None, which saves the discriminator's pass over real images. With `differences` one number added
    to all logits, real and fake, changes no gradient: a bias of the last layer would only be moved
    by rounding, of which Adam makes whole steps, and our discriminators have none.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    relativistic: bool = False
    differences: bool = False


def build(config: AdversarialLoss) -> Adversarial:
    """Raises ConfigError naming build if a user's own cannot be had; it gives an Adversarial."""
    match config:
        case Hinge():
            return Adversarial(hinge_discriminator, hinge_generator)
        case NonSaturating():
            return Adversarial(logistic_discriminator, non_saturating_generator)
        case Minimax():
            return Adversarial(logistic_discriminator, minimax_generator)
        case LeastSquares():
            return Adversarial(least_squares_discriminator, least_squares_generator)
        case Wasserstein():
            return Adversarial(wasserstein_discriminator, wasserstein_generator, differences=True)
        case RelativisticPaired():
            return Adversarial(
                relativistic_discriminator,
                relativistic_generator,
                relativistic=True,
                differences=True,
            )
        case Custom():
            return _custom(config)
        case _:
            assert_never(config)


def hinge_discriminator(real_logit_N: Tensor, fake_logit_N: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))): Lim and Ye 2017, eq. 9."""
    return F.relu(1 - real_logit_N) + F.relu(1 + fake_logit_N)


def hinge_generator(fake_logit_N: Tensor, real_logit_N: Tensor | None) -> Tensor:
    """-D(G(z)): Lim and Ye 2017, eq. 10."""
    return -fake_logit_N


def logistic_discriminator(real_logit_N: Tensor, fake_logit_N: Tensor) -> Tensor:
    """-log s(D(x)) - log(1 - s(D(G(z)))), s the logistic: Goodfellow et al. 2014, eq. 1."""
    return F.softplus(-real_logit_N) + F.softplus(fake_logit_N)


def non_saturating_generator(fake_logit_N: Tensor, real_logit_N: Tensor | None) -> Tensor:
    """-log s(D(G(z))): Goodfellow et al. 2014, section 3."""
    return F.softplus(-fake_logit_N)


def minimax_generator(fake_logit_N: Tensor, real_logit_N: Tensor | None) -> Tensor:
    """log(1 - s(D(G(z)))), below zero: Goodfellow et al. 2014, eq. 1."""
    return -F.softplus(fake_logit_N)


def least_squares_discriminator(real_logit_N: Tensor, fake_logit_N: Tensor) -> Tensor:
    """1/2 (D(x) - 1)^2 + 1/2 D(G(z))^2, with the paper's halves: Mao et al. 2017, eq. 9.

    It balances at a logit of 1/2, not 0.
    """
    return ((real_logit_N - 1) ** 2 + fake_logit_N**2) / 2


def least_squares_generator(fake_logit_N: Tensor, real_logit_N: Tensor | None) -> Tensor:
    """1/2 (D(G(z)) - 1)^2, with the paper's half: Mao et al. 2017, eq. 9."""
    return (fake_logit_N - 1) ** 2 / 2


def wasserstein_discriminator(real_logit_N: Tensor, fake_logit_N: Tensor) -> Tensor:
    """D(G(z)) - D(x), minus the distance if D is the best 1-Lipschitz one: Arjovsky 2017, eq. 3."""
    return fake_logit_N - real_logit_N


def wasserstein_generator(fake_logit_N: Tensor, real_logit_N: Tensor | None) -> Tensor:
    """-D(G(z)): Arjovsky et al. 2017, theorem 3."""
    return -fake_logit_N


def relativistic_discriminator(real_logit_N: Tensor, fake_logit_N: Tensor) -> Tensor:
    """-log s(D(x) - D(G(z))), the real sample and the fake one of the same place paired.

    Jolicoeur-Martineau 2019 with the logistic; Huang et al. 2024 (R3GAN), eq. 2.
    """
    return F.softplus(fake_logit_N - real_logit_N)


def relativistic_generator(fake_logit_N: Tensor, real_logit_N: Tensor | None) -> Tensor:
    """-log s(D(G(z)) - D(x)), the discriminator's with the two exchanged.

    Raises ValueError without the real logits.
    """
    if real_logit_N is None:
        raise ValueError("a relativistic generator loss needs the logits of the real samples")
    return F.softplus(real_logit_N - fake_logit_N)


def _custom(config: Custom) -> Adversarial:
    try:
        made = resolve(config.build)(**config.options)
    except TypeError as error:
        raise ConfigError(
            f"{config.build} cannot be called: {error}", where="build", hint="check its options"
        ) from error
    if not isinstance(made, Adversarial):
        raise ConfigError(
            f"{config.build} gives {type(made).__name__}, not a ganlib.losses.Adversarial",
            where="build",
        )
    return made
