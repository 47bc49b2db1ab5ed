"""What a sweep may change, how many trials it has, and what makes one the best."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal


class Choice(Config):
    kind: Literal["choice"] = "choice"
    values: tuple[Any, ...] = Field(min_length=1)


class Uniform(Config):
    kind: Literal["uniform"] = "uniform"
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if not self.low < self.high:
            raise Refusal("low", "low must be below high").error()
        return self


class LogUniform(Config):
    kind: Literal["log_uniform"] = "log_uniform"
    low: float = Field(gt=0)
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> LogUniform:
        if not self.low < self.high:
            raise Refusal("low", "low must be below high").error()
        return self


Range = Annotated[Choice | Uniform | LogUniform, Field(discriminator="kind")]


class Asha(Config):
    """Li et al. 2020: after `grace_images` and each `reduction` times that, keep the best."""

    grace_images: int = Field(default=10_000, ge=1)
    reduction: int = Field(default=2, ge=2, le=16)


class SweepConfig(Config):
    """The first trial is the recipe as it stands; the others draw from `space`."""

    target: Literal["gan", "classifier"] = "gan"
    trials: int = Field(default=4, ge=1, le=1000)
    concurrent: int = Field(default=2, ge=1, le=256)
    images: int = Field(default=40_000, ge=1, description="budget of one trial")
    space: dict[str, Range] = Field(
        default_factory=dict, description="dotted path below the pipeline configuration -> range"
    )
    asha: Asha = Asha()
    max_scaled_distance: float = Field(
        default=0.1, gt=0, description="a trial above it cannot win while one is below it"
    )
    wall_minutes: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**31)
