"""What the two players of a GAN minimise."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganlib.config.base import Config
from ganlib.config.custom import Custom


class Hinge(Config):
    """Lim and Ye 2017."""

    kind: Literal["hinge"] = "hinge"


class NonSaturating(Config):
    """Goodfellow et al. 2014, section 3."""

    kind: Literal["non_saturating"] = "non_saturating"


AdversarialLoss = Annotated[Hinge | NonSaturating | Custom, Field(discriminator="kind")]
