"""How a GAN is watched for mode collapse while it trains, and what is done about it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal


class DetectorConfig(Config):
    """When readings are told collapsed. Scores are in units of chance and tolerance, 0 as real."""

    samples: int = Field(
        default=256,
        ge=16,
        le=4096,
        description="generated images of a reading, at most a third of the real ones",
    )
    reals: int = Field(default=1024, ge=48, description="real images that are looked at, at most")
    draws: int = Field(default=8, ge=4, description="real-against-real draws for the null")
    alarm: float = Field(default=5.0, gt=0, description="a score so far below its best has fallen")
    release: float = Field(default=3.125, gt=0, description="within so much of it, it is back")
    joint_alarm: float = Field(
        default=2.0, gt=0, description="the same of the mean of signals that go together"
    )
    patience: int = Field(default=2, ge=1, description="readings in a row that are a collapse")
    loss_patience: int = Field(default=5, ge=1, description="the same of losses")
    grace: int = Field(
        default=4, ge=1, description="readings of warm-up, and over which progress is looked for"
    )
    progress: float = Field(
        default=1.0, ge=0, description="a score that rose so much over them still warms up"
    )
    recover: int = Field(default=3, ge=1, description="readings back inside that end a collapse")

    @model_validator(mode="after")
    def _released_inside(self) -> DetectorConfig:
        if self.release > self.alarm:
            raise Refusal(
                "release",
                f"release is {self.release:g} and alarm {self.alarm:g}: what has fallen would be "
                "back at once; set release to at most alarm",
            ).error()
        return self


class _Watched(Config):
    every: int = Field(
        default=10_000, ge=1, description="images between readings, taken at the next report"
    )
    detector: DetectorConfig = DetectorConfig()


class Record(_Watched):
    """Readings and the verdict are told, and training goes on."""

    kind: Literal["record"] = "record"


class Stop(_Watched):
    """A collapsed run ends as failed, and what it leaves cannot be registered."""

    kind: Literal["stop"] = "stop"


class LowerRate(Config):
    """The generator's learning rate times `factor`."""

    kind: Literal["lower_rate"] = "lower_rate"
    factor: float = Field(default=0.25, gt=0, lt=1)


class FasterDiscriminator(Config):
    """The discriminator's learning rate raised to `ratio` times the generator's, where it is lower.

    Two rates converge where the discriminator's is the higher one (Heusel et al. 2017); four times
    as high is what SAGAN took (Zhang et al. 2019).
    """

    kind: Literal["faster_discriminator"] = "faster_discriminator"
    ratio: float = Field(default=4.0, gt=0, le=100)


class LessMomentum(Config):
    """Adam without its first moment, of both players.

    Momentum carries players past the equilibrium that they circle (Gidel et al. 2019).
    """

    kind: Literal["less_momentum"] = "less_momentum"


class HigherGamma(Config):
    """R1 with its gamma times `factor`, or with `start` where it was not paid."""

    kind: Literal["higher_gamma"] = "higher_gamma"
    factor: float = Field(default=4.0, gt=1)
    start: float = Field(default=1.0, gt=0, le=1e6)


class MorePacking(Config):
    """One image more judged together, or as few more as divide the batch; at most 4 in all.

    What the discriminator has learnt it keeps: it begins by looking past the new ones. A network of
    a user's own is passed over.
    """

    kind: Literal["more_packing"] = "more_packing"


class MoreAugmentation(Config):
    """DiffAugment, where nothing was augmented."""

    kind: Literal["more_augmentation"] = "more_augmentation"


class OtherNoise(Config):
    """Another seed: other noise, other draws, another order of the images."""

    kind: Literal["other_noise"] = "other_noise"


Policy = Annotated[
    LowerRate
    | FasterDiscriminator
    | LessMomentum
    | HigherGamma
    | MorePacking
    | MoreAugmentation
    | OtherNoise,
    Field(discriminator="kind"),
]


class Rescue(_Watched):
    """Back to the last snapshot at which all was well, and on with the next policy of a list.

    Back to the start where nothing ever was. What one policy changed the next one keeps. When none
    is left it is as with `stop`.
    """

    kind: Literal["rescue"] = "rescue"
    policies: tuple[Policy, ...] = Field(
        default=(
            LowerRate(),
            FasterDiscriminator(),
            LessMomentum(),
            HigherGamma(),
            MorePacking(),
            MoreAugmentation(),
            OtherNoise(),
        ),
        min_length=1,
    )
    attempts: int = Field(default=5, ge=1, le=16)


Collapse = Annotated[Record | Stop | Rescue, Field(discriminator="kind")]
