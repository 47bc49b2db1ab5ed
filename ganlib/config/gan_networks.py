"""Generators and discriminators by name.

Sizes that depend on the data (pixels, channels, classes) are not here.

`needs(size)` says what the network asks of data.size; it is empty where that size will do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal
from ganlib.config.custom import Custom

Norm = Literal["none", "batch", "instance", "layer", "spectral"]
"""Ioffe and Szegedy 2015 over all workers, Ulyanov 2016, Ba 2016, Miyato 2018 on weights."""

Width = Annotated[int, Field(ge=1, le=8192)]


def _halving(size: int, smallest: int = 4) -> str:
    """What a network that halves the side, rounded down, asks of it; empty if `size` will do."""
    return "" if size >= 2 * smallest else f"{2 * smallest} or more"


class Network(Config, ABC):
    """What every player's network has."""

    kind: str

    @abstractmethod
    def needs(self, size: int) -> str: ...


class _Generator(Network):
    """What every generator has; `norm` never stands at its output."""

    latent_size: int = Field(default=64, ge=1, le=1024)
    latent: Literal["normal", "uniform"] = Field(
        default="normal", description="noise: standard normal, or uniform between -1 and 1"
    )
    conditioning: Literal["concatenation", "none"] = Field(
        default="concatenation", description="a learned vector for the class beside z, or nothing"
    )
    embedding_size: int = Field(default=32, ge=1, le=512, description="of the class's vector")

    @model_validator(mode="after")
    def _vector_is_read(self) -> _Generator:
        if self.conditioning == "none" and self.embedding_size != 32:
            raise Refusal(
                "embedding_size",
                f"embedding_size is {self.embedding_size}, and conditioning is none, so that there "
                "is no class's vector: leave it out, or set conditioning to concatenation",
            ).error()
        return self


class _Discriminator(Network):
    """What every discriminator has; statistics never normalise its first layer.

    The class is projected on the features (Miyato and Koyama 2018), stands beside the image as one
    plane for each class (Mirza and Osindero 2014), or is ignored.
    """

    conditioning: Literal["projection", "concatenation", "none"] = "projection"
    minibatch_stddev: int = Field(
        default=0, ge=0, le=64, description="samples of a group (Karras et al. 2018); 0: none"
    )

    @model_validator(mode="after")
    def _groups_differ(self) -> _Discriminator:
        if self.minibatch_stddev == 1:
            reason = "minibatch_stddev is 1: a group of one sample has no deviation"
            raise Refusal("minibatch_stddev", reason).error()
        return self


class DcganGenerator(_Generator):
    """Radford et al. 2015; the class is embedded beside z."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=32, ge=4, le=512, description="channels of the last hidden layer")
    norm: Norm = "batch"

    def needs(self, size: int) -> str:
        return _halving(size)


class DcganDiscriminator(_Discriminator):
    """Radford et al. 2015 with spectral norm and a projection output (Miyato and Koyama 2018)."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=32, ge=4, le=512, description="channels of the first layer")
    norm: Norm = "spectral"

    def needs(self, size: int) -> str:
        return _halving(size)


class _Mlp(Network):
    slope: float = Field(default=0.2, ge=0, lt=1, description="of LeakyReLU below zero")
    norm: Norm
    batch_norm_momentum: float = Field(
        default=0.1, gt=0, le=1, description="weight of the newest batch in running statistics"
    )

    @model_validator(mode="after")
    def _norm_has_something_to_average(self) -> _Mlp:
        if self.norm == "instance":
            raise Refusal(
                "norm",
                "norm is instance: it averages over pixels, and a hidden layer of an mlp has none; "
                "layer is what normalises one sample",
            ).error()
        if self.norm != "batch" and self.batch_norm_momentum != 0.1:
            reason = f"batch_norm_momentum is set, and norm is {self.norm}"
            raise Refusal("batch_norm_momentum", reason).error()
        return self

    def needs(self, size: int) -> str:
        return ""


class MlpGenerator(_Mlp, _Generator):
    """Goodfellow et al. 2014 with the widths, LeakyReLU and batch norm of first tutorials."""

    kind: Literal["mlp"] = "mlp"
    widths: tuple[Width, ...] = Field(default=(256, 512, 1024), min_length=1, max_length=16)
    norm: Norm = "batch"


class MlpDiscriminator(_Mlp, _Discriminator):
    """Goodfellow et al. 2014 with the widths and LeakyReLU of first tutorials."""

    kind: Literal["mlp"] = "mlp"
    widths: tuple[Width, ...] = Field(default=(512, 256), min_length=1, max_length=16)
    norm: Norm = "none"


class _Widths(Network):
    """Channels double from the finest resolution to the coarsest, from `width` to `max_width`."""

    width: int = Field(default=64, ge=4, le=1024, description="channels at the image's side")
    max_width: int = Field(default=256, ge=4, le=4096, description="most channels of any layer")

    @model_validator(mode="after")
    def _limit_is_not_below(self) -> _Widths:
        if self.max_width < self.width:
            reason = f"max_width is {self.max_width}, less than width, {self.width}"
            raise Refusal("max_width", reason).error()
        return self


class SnResNetGenerator(_Widths, _Generator):
    """Miyato et al. 2018, appendix B.4, with the class beside z.

    width = max_width = 256 is their network for CIFAR-10; 64 and 1024 that for ImageNet.
    """

    kind: Literal["sn_resnet"] = "sn_resnet"
    norm: Norm = "batch"

    def needs(self, size: int) -> str:
        return _halving(size)


class SnResNetDiscriminator(_Widths, _Discriminator):
    """Miyato et al. 2018, appendix B.4.

    width = max_width = 128, smallest = 8, plain_blocks = 2 is their network for CIFAR-10; 64, 1024,
    4 and 1 that for ImageNet.
    """

    kind: Literal["sn_resnet"] = "sn_resnet"
    smallest: int = Field(default=4, ge=1, le=64, description="least side that halving may give")
    plain_blocks: int = Field(default=1, ge=0, le=16, description="blocks after the last halving")
    norm: Norm = "spectral"

    def needs(self, size: int) -> str:
        return _halving(size, max(4, self.smallest))


class _R3gan(_Widths):
    """Huang et al. 2024 (R3GAN), config E, whose widths for CIFAR-10 are 768 throughout."""

    width: int = Field(default=32, ge=4, le=1024, description="channels at the image's side")
    max_width: int = Field(default=128, ge=4, le=4096, description="most channels of any stage")
    blocks: int = Field(default=1, ge=1, le=8, description="in each stage; the paper has 2")
    expansion: int = Field(default=2, ge=1, le=8, description="times the channels inside a block")
    group_size: int = Field(default=16, ge=1, le=1024, description="channels of a group inside")
    norm: Norm = "none"

    @model_validator(mode="after")
    def _groups_divide(self) -> _R3gan:
        for name, width in (("width", self.width), ("max_width", self.max_width)):
            if width * self.expansion % self.group_size:
                raise Refusal(
                    name,
                    f"{name} times expansion is {width * self.expansion}, not a multiple of "
                    f"group_size, {self.group_size}",
                ).error()
        return self

    @model_validator(mode="after")
    def _no_norm(self) -> _R3gan:
        if self.norm != "none":
            raise Refusal(
                "norm",
                f"norm is {self.norm}: r3gan starts its blocks as the identity instead, and has no "
                "place for a norm",
            ).error()
        return self

    def needs(self, size: int) -> str:
        return _halving(size)


class R3ganGenerator(_R3gan, _Generator):
    """Huang et al. 2024; the class is embedded beside z."""

    kind: Literal["r3gan"] = "r3gan"


class R3ganDiscriminator(_R3gan, _Discriminator):
    """Huang et al. 2024; meant for relativistic_paired with r1 and r2."""

    kind: Literal["r3gan"] = "r3gan"


GeneratorNetwork = Annotated[
    DcganGenerator | MlpGenerator | SnResNetGenerator | R3ganGenerator | Custom,
    Field(discriminator="kind"),
]
DiscriminatorNetwork = Annotated[
    DcganDiscriminator | MlpDiscriminator | SnResNetDiscriminator | R3ganDiscriminator | Custom,
    Field(discriminator="kind"),
]
