"""What turns images into features to compare and classes to count.

N samples, H W pixels, C channels, K classes, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ganlib.data import ImageRows
from ganlib.errors import ConfigError, NotFinite
from ganlib.models import LoadedModel, to_float


class Extractor(Protocol):
    """`name` says which network and layer, and is printed beside every number."""

    @property
    def name(self) -> str: ...

    def __call__(self, image_NHWC: ImageRows) -> tuple[Tensor, Tensor]:
        """uint8 -> feature_NF, logits_NK."""
        ...


@dataclass(frozen=True, eq=False)
class Seen:
    """Images as an extractor sees them, and the class each is or was asked to be.

    In the numbers it gives, float32 mostly: what is computed of them is in float64, a block at a
    time. label_N and logits_NK lie on the CPU.
    """

    feature_NF: Tensor
    logits_NK: Tensor
    label_N: Tensor

    @staticmethod
    def by(extractor: Extractor, image_NHWC: ImageRows, label_N: Tensor) -> Seen:
        return Seen.of(*extractor(image_NHWC), label_N, extractor.name)

    @staticmethod
    def of(feature_NF: Tensor, logits_NK: Tensor, label_N: Tensor, extractor: str) -> Seen:
        """Raises NotFinite where features are not: no distance is defined of them."""
        if not bool(torch.isfinite(feature_NF).all()):
            raise NotFinite(
                f"{extractor} gives features that are not finite",
                where=extractor,
                hint="its own training diverged, or its weights are damaged: make it anew",
            )
        return Seen(feature_NF, logits_NK.cpu(), label_N.cpu())

    def __len__(self) -> int:
        return len(self.label_N)

    def __getitem__(self, rows: slice | Tensor) -> Seen:
        on_device = rows.to(self.feature_NF.device) if isinstance(rows, Tensor) else rows
        return Seen(self.feature_NF[on_device], self.logits_NK[rows], self.label_N[rows])

    def judged(self) -> Tensor:
        """judged_N: the likeliest class of each."""
        return self.logits_NK.argmax(1)


class ClassifierExtractor:
    """The layer below a classifier's output, and that output."""

    def __init__(self, model: LoadedModel, name: str, *, batch: int = 512) -> None:
        """`name` such as `judge:features`. Raises ConfigError if `model` is no classifier."""
        if model.kind != "classifier":
            raise ConfigError(f"{name} is a {model.kind}, not a classifier", where=name)
        self.name = name
        self.classes = model.classes
        self.module = model.module.eval()
        self.batch = batch
        self._shape = (model.size, model.size, model.channels)

    @torch.no_grad()
    def __call__(self, image_NHWC: ImageRows) -> tuple[Tensor, Tensor]:
        """Raises ConfigError if the images are not of the size the classifier was trained on."""
        if tuple(image_NHWC.shape[1:]) != self._shape:
            raise ConfigError(
                f"{self.name} reads images of {self._shape}, not {tuple(image_NHWC.shape[1:])}",
                where=self.name,
                hint="use a classifier that was trained on data of this size and these channels",
            )
        weight = next(self.module.parameters())
        head = cast(nn.Module, self.module.head)
        parts = []
        for start in range(0, max(len(image_NHWC), 1), self.batch):
            part_NHWC = image_NHWC[start : start + self.batch]
            x_NCHW = to_float(part_NHWC.to(weight.device), weight.dtype)
            feature_NF: Tensor = self.module.features(x_NCHW)  # type: ignore[operator]
            parts.append((feature_NF, head(feature_NF)))
        feature, logits = zip(*parts, strict=True)
        return torch.cat(feature), torch.cat(logits)
