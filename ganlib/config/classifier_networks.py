"""Classifiers by name. Sizes that depend on the data (pixels, channels, classes) are not here.

`needs(size)` says what the network asks of data.size; it is empty where that size will do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganlib.config.base import Config
from ganlib.config.custom import Custom


class LeNet5(Config):
    """LeCun et al. 1998; ReLU and max pooling, 84 features. Needs 12 pixels or more."""

    kind: Literal["lenet5"] = "lenet5"
    width: int = Field(default=1, ge=1, le=16, description="times the paper's channels")

    def needs(self, size: int) -> str:
        return "12 or more; a resnet takes smaller ones" if size < 12 else ""


class SmallResNet(Config):
    """He et al. 2015 for small images: three groups of `blocks` blocks, `width` doubling."""

    kind: Literal["resnet"] = "resnet"
    width: int = Field(default=16, ge=4, le=256)
    blocks: int = Field(default=1, ge=1, le=18)

    def needs(self, size: int) -> str:
        return ""


ClassifierNetwork = Annotated[LeNet5 | SmallResNet | Custom, Field(discriminator="kind")]
