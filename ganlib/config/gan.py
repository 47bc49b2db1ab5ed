"""A GAN: two players, a loss, how they take turns, and when to stop."""

from __future__ import annotations

from pydantic import Field

from ganlib.config.base import Config
from ganlib.config.gan_networks import (
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorNetwork,
    GeneratorNetwork,
)
from ganlib.config.losses import AdversarialLoss, Hinge
from ganlib.config.training import Adam, Budget, Cadence, Constant, Plateau, Precision, Schedule


class GeneratorConfig(Config):
    network: GeneratorNetwork = DcganGenerator()
    optimiser: Adam = Adam(beta1=0.0)
    steps: int = Field(default=1, ge=1, le=16, description="generator steps per turn")


class DiscriminatorConfig(Config):
    network: DiscriminatorNetwork = DcganDiscriminator()
    optimiser: Adam = Adam(beta1=0.0)
    steps: int = Field(default=1, ge=1, le=16, description="discriminator steps per turn")


class Ema(Config):
    """Exponential moving average of the generator's weights; half-life ramps up at the start."""

    half_life: int = Field(default=50_000, ge=0, description="images; 0 switches it off")
    ramp: float = Field(default=0.05, gt=0, le=1, description="half-life is at most ramp * clock")


class GanConfig(Config):
    """The clock of a GAN counts the real images its discriminator has seen."""

    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: AdversarialLoss = Hinge()
    schedule: Schedule = Constant()
    ema: Ema = Ema()
    batch_size: int = Field(default=64, ge=2, description="over all workers")
    budget: Budget = Budget(images=100_000)
    cadence: Cadence = Cadence()
    plateau: Plateau | None = None
    precision: Precision = "auto"
    seed: int = Field(default=0, ge=0, lt=2**31)
    init_from: str | None = Field(
        default=None, description="models:/name/version or models:/name@alias"
    )
