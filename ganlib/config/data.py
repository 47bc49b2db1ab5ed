"""Where images come from and what they are prepared into."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal
from ganlib.config.custom import Custom


class Digits(Config):
    """scikit-learn's 1,797 handwritten digits, 8x8 grey, from its own wheel."""

    kind: Literal["digits"] = "digits"


class Idx(Config):
    """MNIST's idx format: `dataset` is looked for and downloaded, or `path` is a folder."""

    kind: Literal["idx"] = "idx"
    dataset: Literal["mnist", "fashion-mnist"] | None = None
    path: str | None = Field(default=None, description="folder holding the four idx files")

    @model_validator(mode="after")
    def _one(self) -> Idx:
        if (self.dataset is None) == (self.path is None):
            raise Refusal("dataset", "give either dataset or path").error()
        return self


class Cifar10(Config):
    """CIFAR-10: the publisher's binary version or an npz of JPEG bytes."""

    kind: Literal["cifar10"] = "cifar10"
    path: str | None = Field(default=None, description="folder or npz; none: look for it")


class Folder(Config):
    """A folder with one subfolder per class, or train/val/test above them."""

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1, description="of this machine, or s3://bucket/prefix")


class Unlabelled(Config):
    """A folder of images without classes: all below it, or train/val/test above them."""

    kind: Literal["unlabelled"] = "unlabelled"
    path: str = Field(min_length=1, description="of this machine, or s3://bucket/prefix")


class Arrays(Config):
    """An npz with images (N, H, W) or (N, H, W, C) uint8 and labels (N,); or two npy files.

    Any C up to 32 is taken as it is where data.channels is the same.
    """

    kind: Literal["arrays"] = "arrays"
    path: str = Field(min_length=1)
    images: str = Field(default="images", description="npz member, or npy file beside path")
    labels: str = Field(default="labels", description="npz member, or npy file beside path")


Source = Annotated[
    Digits | Idx | Cifar10 | Folder | Unlabelled | Arrays | Custom, Field(discriminator="kind")
]


class Reading(Config):
    """How training gets at the prepared images. It changes no batch and no weight."""

    in_memory: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="the training images: in memory, or left in their shards and read batch by "
        "batch; auto: in memory if they take at most memory_share of what is free",
    )
    memory_share: float = Field(
        default=0.5, gt=0, le=1, description="of the free memory, a container's limit respected"
    )
    copy_at: str | None = Field(
        default=None,
        pattern=r"^s3://[^/]+(/.*)?$",
        description="s3://bucket/prefix holding a copy of the home's data folder: read from there",
    )
    cache_bytes: int = Field(
        default=20 << 30, ge=0, description="of shards kept on this machine of what lies at copy_at"
    )

    @model_validator(mode="after")
    def _combine(self) -> Reading:
        fields = type(self).model_fields.items()
        changed = {name for name, field in fields if getattr(self, name) != field.default}
        if self.in_memory != "auto" and "memory_share" in changed:
            reason = f"memory_share decides nothing with in_memory: {self.in_memory}"
            raise Refusal("memory_share", reason).error()
        if self.copy_at is None and "cache_bytes" in changed:
            reason = "cache_bytes limits what is kept of copy_at, and there is none"
            raise Refusal("cache_bytes", reason).error()
        return self


class DataConfig(Config):
    """Preparation: source, size, splits, how much damage is tolerated; and how it is read."""

    source: Source = Digits()
    size: int = Field(default=8, ge=8, le=256, description="pixels, height and width")
    channels: int = Field(
        default=1, ge=1, le=32, description="1: grey, 3: colour; others from arrays alone"
    )
    fit: Literal["crop", "pad"] = Field(
        default="crop", description="non-square images: centre crop, or pad with black"
    )
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=0.5, description="of the training images, if the source has no val"
    )
    test_fraction: float = Field(
        default=0.2, gt=0, lt=0.5, description="of all images, if the source has no test"
    )
    split_seed: int = Field(default=0, ge=0)
    max_bad_fraction: float = Field(default=0.01, ge=0, le=1)
    max_pixels: int = Field(
        default=50_000_000, ge=64, description="an image claiming more is refused before decoding"
    )
    shard_images: int = Field(default=4096, ge=16, description="images per shard")
    reading: Reading = Reading()

    @model_validator(mode="after")
    def _source_has_channels(self) -> DataConfig:
        if self.channels not in (1, 3) and not isinstance(self.source, Arrays | Custom):
            raise Refusal(
                "channels",
                f"channels is {self.channels}, and the images of source {self.source.kind} are "
                "grey or coloured: set channels to 1 or 3; arrays and a source of your own may "
                "have others",
            ).error()
        return self

    def preparation(self) -> dict[str, Any]:
        """What a prepared set depends on, as JSON values."""
        return self.model_dump(mode="json", exclude={"reading"})
