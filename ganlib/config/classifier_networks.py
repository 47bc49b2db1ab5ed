"""Classifiers by name. Sizes that depend on the data (pixels, channels, classes) are not here.

`needs(size)` says what the network asks of data.size; it is empty where that size will do.
`batch_norm` is true of a network whose answer to one image depends on the batch around it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ganlib.config.base import Config
from ganlib.config.custom import Custom


class LeNet5(Config):
    """LeCun et al. 1998; ReLU and max pooling, 84 features."""

    batch_norm: ClassVar[bool] = False
    kind: Literal["lenet5"] = "lenet5"
    width: int = Field(default=1, ge=1, le=16, description="times the paper's channels")

    def needs(self, size: int) -> str:
        return ""


class SmallResNet(Config):
    """He et al. 2015 for small images: three groups of `blocks` blocks, `width` doubling."""

    batch_norm: ClassVar[bool] = True
    kind: Literal["resnet"] = "resnet"
    width: int = Field(default=16, ge=4, le=256)
    blocks: int = Field(default=1, ge=1, le=18)

    def needs(self, size: int) -> str:
        return ""


class CifarResNet(Config):
    """He et al. 2015, section 4.2, as it was: 16, 32, 64 channels and shortcuts without weights."""

    batch_norm: ClassVar[bool] = True
    kind: Literal["cifar_resnet"] = "cifar_resnet"
    depth: Literal[20, 32, 44, 56, 110] = 20

    def needs(self, size: int) -> str:
        return ""


class ResNet18(Config):
    """He et al. 2015, table 1. The small stem halves nothing, for images below 64 pixels."""

    batch_norm: ClassVar[bool] = True
    kind: Literal["resnet18"] = "resnet18"
    stem: Literal["small", "imagenet"] = "small"
    width: int = Field(default=64, ge=4, le=256, description="channels of the first group")

    def needs(self, size: int) -> str:
        if self.stem == "imagenet" and size < 32:
            return "32 or more with stem imagenet; stem small takes smaller ones"
        return ""


class AlexNet(Config):
    """Krizhevsky 2014 (one tower); the small variant keeps its five convolutions, all 3x3.

    `width` is the first convolution's channels; all others, and the two hidden layers, go with it.
    """

    batch_norm: ClassVar[bool] = False
    kind: Literal["alexnet"] = "alexnet"
    variant: Literal["small", "imagenet"] = "small"
    width: int = Field(default=64, ge=4, le=256)
    dropout: float = Field(default=0.5, ge=0, lt=1, description="before both hidden layers")

    def needs(self, size: int) -> str:
        if self.variant == "imagenet" and size < 63:
            return "63 or more with variant imagenet; variant small takes smaller ones"
        return ""


ClassifierNetwork = Annotated[
    LeNet5 | SmallResNet | CifarResNet | ResNet18 | AlexNet | Custom, Field(discriminator="kind")
]
