"""A CNN classifier: the judge, the selector, or a product of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal
from ganlib.config.classifier_networks import ClassifierNetwork, SmallResNet
from ganlib.config.custom import Custom
from ganlib.config.training import (
    Adam,
    Budget,
    Cadence,
    Compile,
    Constant,
    Optimiser,
    Precision,
    Schedule,
    indivisible,
    outgrown,
)

Weight = Annotated[float, Field(ge=0)]


class Distortion(Config):
    """How training images are moved about, drawn for each place in the batch."""

    shift: int = Field(default=0, ge=0, le=32, description="pixels, each direction, black padded")
    flip: bool = Field(default=False, description="left to right, half of the images")
    rotate: float = Field(default=0.0, ge=0, le=180, description="degrees, each direction")
    scale: float = Field(default=0.0, ge=0, le=1, description="0.1: a tenth larger or smaller")
    squeeze: float = Field(default=0.0, ge=0, le=1, description="wider and lower, or the reverse")
    shear: float = Field(default=0.0, ge=0, le=1, description="sideways, share of the height")

    @property
    def moves(self) -> bool:
        return bool(self.shift or self.flip)

    @property
    def warps(self) -> bool:
        return bool(self.rotate or self.scale or self.squeeze or self.shear)


class ClassifierConfig(Config):
    """Network, optimiser, budget; `seed` and `seed + 1` make the judge and the selector."""

    network: ClassifierNetwork = SmallResNet()
    optimiser: Optimiser = Adam()
    schedule: Schedule = Constant()
    batch_size: int = Field(default=64, ge=2, description="over all workers")
    accumulate: int = Field(
        default=1, ge=1, le=64, description="parts a worker's batch is taken in, to save memory"
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] | tuple[Weight, ...] = Field(
        default="none",
        description="of each class's loss: by its rarity in the training images, or in the order "
        "of the classes",
    )
    distortion: Distortion = Distortion()
    mixup: float = Field(
        default=0.0, ge=0, le=10, description="alpha of Zhang et al. 2018; 0 switches it off"
    )
    budget: Budget = Budget(images=60_000)
    cadence: Cadence = Cadence()
    precision: Precision = "auto"
    compile: Compile = Field(
        default="none",
        description="forward passes by torch.compile, as CUDA graphs too if asked; minutes at the "
        "start, and on a CPU no faster; left out with the reason where it does not work",
    )
    seed: int = Field(default=0, ge=0, lt=2**31)
    init_from: str | None = Field(
        default=None, description="models:/name/version or models:/name@alias"
    )

    @model_validator(mode="after")
    def _parts_are_the_whole(self) -> ClassifierConfig:
        network = self.network
        refusal = self.refusal(not isinstance(network, Custom) and network.batch_norm)
        if refusal:
            raise refusal.error()
        return self

    def refusal(self, batch_norm: bool) -> Refusal | None:
        """Why a network with batch norms, or without, cannot be trained like this, or none."""
        if self.accumulate == 1 or not batch_norm:
            return None
        return Refusal(
            "accumulate",
            f"accumulate is {self.accumulate}, and network {self.network.kind} normalises over the "
            "whole batch: parts of it would have other statistics; set accumulate to 1, or take "
            "lenet5, alexnet or a network of your own without batch norm",
        )

    def uneven(self, workers: int) -> Refusal | None:
        """Why the batch is not that of `workers` workers in whole parts."""
        made_of = f"accumulate, {self.accumulate}"
        return indivisible(self.batch_size, workers, self.accumulate, made_of)

    @model_validator(mode="after")
    def _parts_combine(self) -> ClassifierConfig:
        refusal = outgrown(self.batch_size, self.schedule, self.budget) or self.uneven(1)
        if refusal:
            raise refusal.error()
        if isinstance(self.class_weights, tuple) and not any(self.class_weights):
            reason = "class_weights are all 0, and nothing would be learnt"
            raise Refusal("class_weights", reason).error()
        return self
