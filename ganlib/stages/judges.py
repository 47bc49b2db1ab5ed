"""Who judges: trained classifiers, or networks that stay fixed; and the one way to an extractor.

C channels.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from ganlib.config import (
    ByClassifiers,
    ByNetworks,
    NetworkFeatures,
    PipelineConfig,
    fingerprint,
)
from ganlib.errors import ConfigError
from ganlib.stages.values import JudgeRef, ModelRef, NetworkRef, Networks

if TYPE_CHECKING:
    from ganlib.evaluation import Extractor


def networks(config: PipelineConfig) -> Networks | None:
    """The judge and the selector that need no training; none where classifiers are to be trained.

    Raises ConfigError naming what a network lacks on this machine, and the command that mends it.
    """
    match config.judging:
        case ByClassifiers():
            return None
        case ByNetworks(gate=gate, selector=selector):
            channels = config.data.channels
            return Networks(
                judge=_pinned(gate, channels, "judging.gate"),
                selector=_pinned(selector, channels, "judging.selector"),
            )
        case _:
            assert_never(config.judging)


def _pinned(settings: NetworkFeatures, channels: int, where: str) -> NetworkRef:
    """Known by its settings and the digest of its weights: others are another judge."""
    problem, hint = settings.lacks(channels)
    if problem:
        raise ConfigError(
            f"{where} is {settings.kind}: {problem}",
            where=where,
            hint=f"{hint}, or give another network: --set {where}=random",
        )
    weights = settings.weights()
    digest = ""
    if weights is not None:
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = f"{settings.kind}-{digest[:8]}" if digest else settings.kind
    return NetworkRef(settings=settings, name=name, fingerprint=fingerprint(settings, digest))


def extractor(judge: JudgeRef, channels: int, device: str) -> Extractor:
    """For images of C channels, on `device`."""
    match judge:
        case ModelRef():
            from ganlib.evaluation import ClassifierExtractor
            from ganlib.models import load_model

            loaded = load_model(Path(judge.folder))
            loaded.module.to(device)
            return ClassifierExtractor(loaded, f"{name(judge)}:features")
        case NetworkRef(settings=settings):
            from ganlib.evaluation.networks import build_extractor

            return build_extractor(settings, channels=channels, device=device)
        case _:
            assert_never(judge)


def name(judge: JudgeRef) -> str:
    """As numbers, reasons and reports call it."""
    match judge:
        case ModelRef():
            return f"judge-{judge.fingerprint[:8]}"
        case NetworkRef():
            return judge.name
        case _:
            assert_never(judge)


def told(judge: JudgeRef) -> str:
    """Who it is and how it came about, in a line."""
    match judge:
        case ModelRef():
            return f"{judge.fingerprint}, trained for {judge.images:,} images"
        case NetworkRef(settings=settings):
            return f"{judge.name}, fixed: {_LEARNT[settings.kind]}; it knows no class of these"
        case _:
            assert_never(judge)


_LEARNT = {
    "pretrained": "EfficientNet-Lite0 as trained on ImageNet",
    "inception": "the network of the FID, as trained on ImageNet",
    "random": "a network that learnt nothing",
}
