"""A CNN classifier: the judge, the selector, or a product of its own."""

from __future__ import annotations

from pydantic import Field

from ganlib.config.base import Config
from ganlib.config.classifier_networks import ClassifierNetwork, SmallResNet
from ganlib.config.training import Adam, Budget, Cadence, Constant, Precision, Schedule


class Distortion(Config):
    """Random shift and horizontal flip of training images, drawn for each place in the batch."""

    shift: int = Field(default=0, ge=0, le=32, description="pixels, each direction, zero padded")
    flip: bool = False


class ClassifierConfig(Config):
    """Network, optimiser, budget; `seed` and `seed + 1` make the judge and the selector."""

    network: ClassifierNetwork = SmallResNet()
    optimiser: Adam = Adam()
    schedule: Schedule = Constant()
    batch_size: int = Field(default=64, ge=2, description="over all workers")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    distortion: Distortion = Distortion()
    budget: Budget = Budget(images=60_000)
    cadence: Cadence = Cadence()
    precision: Precision = "auto"
    seed: int = Field(default=0, ge=0, lt=2**31)
    init_from: str | None = Field(
        default=None, description="models:/name/version or models:/name@alias"
    )
