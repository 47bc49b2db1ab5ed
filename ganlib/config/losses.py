"""What the two players of a GAN minimise, and the penalties on the discriminator's slope.

`refuse` says why a loss, its penalties and the discriminator's norm do not go together.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganlib.config.base import Config, Refusal
from ganlib.config.custom import Custom


class Hinge(Config):
    """Lim and Ye 2017."""

    kind: Literal["hinge"] = "hinge"


class NonSaturating(Config):
    """Goodfellow et al. 2014, section 3."""

    kind: Literal["non_saturating"] = "non_saturating"


class Minimax(Config):
    """Goodfellow et al. 2014, eq. 1; the generator learns little while its images are seen through.

    Here for comparison: `non_saturating` has the same fixed point and does not have this flaw.
    """

    kind: Literal["minimax"] = "minimax"


class LeastSquares(Config):
    """LSGAN, Mao et al. 2017, with the targets 0 for fake and 1 for real."""

    kind: Literal["least_squares"] = "least_squares"


class Wasserstein(Config):
    """Arjovsky et al. 2017; wants the penalty wgan_gp, or spectral norm in the discriminator."""

    kind: Literal["wasserstein"] = "wasserstein"


class RelativisticPaired(Config):
    """Jolicoeur-Martineau 2019; with r1 and r2 it is the loss of R3GAN (Huang et al. 2024)."""

    kind: Literal["relativistic_paired"] = "relativistic_paired"


AdversarialLoss = Annotated[
    Hinge | NonSaturating | Minimax | LeastSquares | Wasserstein | RelativisticPaired | Custom,
    Field(discriminator="kind"),
]


Every = Annotated[
    int,
    Field(
        ge=1,
        le=64,
        description="discriminator steps from one penalty to the next, which weighs as many times "
        "more (Karras et al. 2020, section 3.1)",
    ),
]


class WganGp(Config):
    """Gulrajani et al. 2017: a slope of one at images between a real and a fake one."""

    weight: float = Field(default=10.0, gt=0, le=1e6)
    every: Every = 1


class R1(Config):
    """Mescheder et al. 2018: a slope of zero at real images."""

    gamma: float = Field(default=1.0, gt=0, le=1e6, description="half of it is the weight")
    every: Every = 1


class R2(Config):
    """Mescheder et al. 2018: a slope of zero at fake images."""

    gamma: float = Field(default=1.0, gt=0, le=1e6, description="half of it is the weight")
    every: Every = 1


class Penalties(Config):
    """Each alone or together; one that is null is not paid."""

    wgan_gp: WganGp | None = None
    r1: R1 | None = None
    r2: R2 | None = None

    def names(self) -> tuple[str, ...]:
        """Of those that are paid."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


def refuse(loss: AdversarialLoss, penalties: Penalties, norm: str) -> Refusal | None:
    """Why these do not combine, or none where they do.

    `norm` is the discriminator's: none, batch, instance, layer or spectral.
    """
    if norm == "batch" and penalties.names():
        paid = " and ".join(penalties.names())
        return Refusal(
            "discriminator.network.norm",
            f"{paid} looks at the slope at each image alone, and batch norm in the discriminator "
            "makes every logit depend on the whole batch: give the discriminator instance, layer, "
            "spectral or no norm",
        )
    if isinstance(loss, Wasserstein) and penalties.wgan_gp is None and norm != "spectral":
        return Refusal(
            "penalties",
            "the Wasserstein loss falls without end unless the slope of the discriminator is "
            "bounded, and neither r1 nor r2 bounds it: set penalties.wgan_gp or give the "
            "discriminator spectral norm",
        )
    return None
