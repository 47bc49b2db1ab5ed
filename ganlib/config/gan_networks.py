"""Generators and discriminators by name.

Sizes that depend on the data (pixels, channels, classes) are not here.

`needs(size)` says what the network asks of data.size; it is empty where that size will do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganlib.config.base import Config
from ganlib.config.custom import Custom


def _doubling(size: int) -> str:
    """What a network that doubles and halves the side asks of it; empty if `size` will do."""
    base = size
    while base > 7 and base % 2 == 0:
        base //= 2
    if 4 <= base <= 7 and base < size:
        return ""
    return (
        "4, 5, 6 or 7 times a power of two: "
        "8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64 and so on"
    )


class DcganGenerator(Config):
    """Radford et al. 2015, batch norm over the global batch; the class is embedded beside z."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=32, ge=4, le=512, description="channels of the last hidden layer")
    latent_size: int = Field(default=64, ge=1, le=1024)
    embedding_size: int = Field(default=32, ge=1, le=512)

    def needs(self, size: int) -> str:
        return _doubling(size)


class DcganDiscriminator(Config):
    """Radford et al. 2015 with spectral norm and a projection output (Miyato and Koyama 2018)."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=32, ge=4, le=512, description="channels of the first layer")
    spectral_norm: bool = True

    def needs(self, size: int) -> str:
        return _doubling(size)


GeneratorNetwork = Annotated[DcganGenerator | Custom, Field(discriminator="kind")]
DiscriminatorNetwork = Annotated[DcganDiscriminator | Custom, Field(discriminator="kind")]
