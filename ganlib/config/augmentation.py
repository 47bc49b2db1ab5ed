"""What is done to the images before the discriminator sees them, real and generated alike.

It lets a discriminator train longer on few images; the generator does not learn the changes as
long as each is reversible on average.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal
from ganlib.config.custom import Custom


class DiffAugment(Config):
    """Zhao et al. 2020: the same three families of changes for every image, all the time."""

    kind: Literal["diffaugment"] = "diffaugment"
    color: bool = Field(default=True, description="brightness, saturation, contrast")
    translation: bool = Field(default=True, description="by up to an eighth of the side")
    cutout: bool = Field(default=True, description="a square of half the side becomes grey")

    @model_validator(mode="after")
    def _something_changes(self) -> DiffAugment:
        if not (self.color or self.translation or self.cutout):
            raise Refusal(
                "color",
                "color, translation and cutout are all false, and diffaugment would change "
                "nothing: leave one of them true, or set the augmentation to null",
            ).error()
        return self


class Ada(Config):
    """Karras et al. 2020: each change with probability p, which follows the overfitting seen.

    Overfitting is r = E[sign D(real)] over `every` steps: p rises while r is above `target`. With
    `fixed`, p stays there and target, images_to_full and every mean nothing; the losses
    least_squares, wasserstein and relativistic_paired, which do not divide at zero, need it.
    """

    kind: Literal["ada"] = "ada"
    target: float = Field(default=0.6, gt=-1, lt=1, description="of the mean sign of D(real)")
    images_to_full: int = Field(
        default=500_000, ge=1, description="images in which p goes from 0 to 1"
    )
    every: int = Field(default=4, ge=1, le=1024, description="discriminator steps between changes")
    maximum: float = Field(
        default=0.8, gt=0, le=1, description="of p; above it the changes leak into the images"
    )
    fixed: float | None = Field(default=None, ge=0, le=1, description="p for the whole run")

    @model_validator(mode="after")
    def _fixed_is_allowed(self) -> Ada:
        if self.fixed is not None and self.fixed > self.maximum:
            raise Refusal(
                "fixed",
                f"fixed={self.fixed} is above maximum={self.maximum}: raise maximum as well, "
                "if the changes may leak into the generated images",
            ).error()
        return self


DiscriminatorAugmentation = Annotated[DiffAugment | Ada | Custom, Field(discriminator="kind")]
