"""Who says how good a generator is: classifiers of its own images, or networks that stay fixed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ganlib.config.base import Config
from ganlib.config.extractors import NetworkFeatures, PretrainedFeatures, RandomFeatures, by_name


class ByClassifiers(Config):
    """A classifier of the images' classes, trained with two seeds: one gates, one selects."""

    kind: Literal["classifiers"] = "classifiers"


class ByNetworks(Config):
    """Networks that know none of these images, for images without classes.

    Nothing is told of classes then, and no gate asks about them.
    """

    kind: Literal["networks"] = "networks"
    gate: NetworkFeatures = Field(
        default=PretrainedFeatures(),
        description="whose features the gates read: pretrained, inception or random",
    )
    selector: NetworkFeatures = Field(
        default=RandomFeatures(), description="whose features choose the model; not the gate's"
    )

    @model_validator(mode="after")
    def _differ(self) -> ByNetworks:
        if self.gate == self.selector:
            raise ValueError(
                f"gate and selector are the same network, {self.gate.kind}: what chooses a model "
                "must not be what lets it through"
            )
        return self


Judging = Annotated[
    ByClassifiers | ByNetworks, Field(discriminator="kind"), BeforeValidator(by_name)
]
