"""Networks by name. Sizes that depend on the data (pixels, channels, classes) are not here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganlib.config.base import Config
from ganlib.config.custom import Custom


class LeNet5(Config):
    """LeCun et al. 1998; ReLU and max pooling, 84 features. Needs 12 pixels or more."""

    kind: Literal["lenet5"] = "lenet5"
    width: int = Field(default=1, ge=1, le=16, description="times the paper's channels")


class SmallResNet(Config):
    """He et al. 2015 for small images: three groups of `blocks` blocks, `width` doubling."""

    kind: Literal["resnet"] = "resnet"
    width: int = Field(default=16, ge=4, le=256)
    blocks: int = Field(default=1, ge=1, le=18)


ClassifierNetwork = Annotated[LeNet5 | SmallResNet | Custom, Field(discriminator="kind")]


class DcganGenerator(Config):
    """Radford et al. 2015, batch norm over the global batch; the class is embedded beside z."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=32, ge=4, le=512, description="channels of the last hidden layer")
    latent_size: int = Field(default=64, ge=1, le=1024)
    embedding_size: int = Field(default=32, ge=1, le=512)


class DcganDiscriminator(Config):
    """Radford et al. 2015 with spectral norm and a projection output (Miyato and Koyama 2018)."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=32, ge=4, le=512, description="channels of the first layer")
    spectral_norm: bool = True


GeneratorNetwork = Annotated[DcganGenerator | Custom, Field(discriminator="kind")]
DiscriminatorNetwork = Annotated[DcganDiscriminator | Custom, Field(discriminator="kind")]
