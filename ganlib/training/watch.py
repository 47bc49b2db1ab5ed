"""How a run is looked at while it trains: readings on the validation split, and pictures.

N images, K classes, C channels, H W pixels
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from ganlib.config import EvaluationConfig
from ganlib.data import Images, StoredImages
from ganlib.determinism import Replicas
from ganlib.evaluation import (
    ClassifierExtractor,
    Extractor,
    generate,
    grid_labels,
    pictures,
    reference,
    score,
)
from ganlib.evaluation.networks import build_extractor
from ganlib.losses import cross_entropy
from ganlib.metrics import Calibration, Confusion, among_best
from ganlib.models import load_model
from ganlib.training.classifier_task import ClassifierTask
from ganlib.training.spec import Selector

COLUMNS = 10


def finite(readings: Mapping[str, float]) -> dict[str, float]:
    """What is not finite is no reading and has no merit."""
    return {name: value for name, value in readings.items() if math.isfinite(value)}


class Watch(Protocol):
    def read(self, replicas: Replicas) -> dict[str, float]:
        """Readings, equal on every rank and, up to rounding, for every number of ranks."""

    def picture(self) -> bytes | None:
        """A PNG, on one rank alone; none where there is nothing to see."""


class ClassifierWatch:
    """Accuracy, cross entropy and calibration error of the validation split.

    In the weights' own precision; with more than five classes also the accuracy of five guesses.
    """

    def __init__(self, task: ClassifierTask, images: Images, batch: int = 512) -> None:
        self.task, self.images, self.batch = task, images, batch

    @torch.no_grad()
    def read(self, replicas: Replicas) -> dict[str, float]:
        task, classes = self.task, len(self.task.classes)
        mine = slice(replicas.rank, None, replicas.world)
        image_NHWC, label_N = self.images.image_NHWC[mine], self.images.label_N[mine]
        confusion = Confusion(torch.zeros(classes, classes, dtype=torch.int64))
        calibration = Calibration.nothing()
        loss, among = torch.zeros(2, dtype=torch.float64)
        task.classifier.eval()
        for part_NHWC, part_N in zip(
            torch.split(image_NHWC, self.batch), torch.split(label_N, self.batch), strict=True
        ):
            logits_NK = task.classifier(task.arithmetic.images(part_NHWC.to(task.device))).cpu()
            confusion += Confusion.of(part_N, logits_NK.argmax(1), classes)
            calibration += Calibration.of(logits_NK.double().softmax(1), part_N)
            loss += cross_entropy(logits_NK, part_N, 0.0).double().sum()
            among += among_best(logits_NK, part_N, min(5, classes)).sum()
        task.classifier.train()
        # NCCL knows no sums on the CPU.
        confusion = Confusion(replicas.sum(confusion.count_KK.to(task.device)).cpu())
        calibration = Calibration(replicas.sum(calibration.sum_3B.to(task.device)).cpu())
        total, hits = replicas.sum(torch.stack([loss, among]).to(task.device)).tolist()
        count = len(self.images.label_N)
        readings = {
            "accuracy": confusion.accuracy(),
            "loss": total / count,
            "calibration_error": calibration.error(),
        }
        return readings | ({"top5": hits / count} if classes > 5 else {})

    def picture(self) -> bytes | None:
        return None


class GanWatch:
    """The average generator against the validation split, in the selector's features."""

    def __init__(
        self,
        average: nn.Module,
        classes: Sequence[str],
        images: Images,
        train: Images | StoredImages,
        selector: Extractor | None,
        config: EvaluationConfig,
    ) -> None:
        self.average, self.classes, self.config = average, classes, config
        self.extractor, self.reference = selector, None
        if selector is not None:
            self.reference = reference.build(
                images.image_NHWC,
                images.label_N,
                selector,
                config.samples,
                config.seed,
                classes=len(classes),
                judging=isinstance(selector, ClassifierExtractor),
                other_NHWC=train.image_NHWC,
                other_label_N=train.label_N,
            )

    def read(self, replicas: Replicas) -> dict[str, float]:
        if self.extractor is None or self.reference is None:
            return {}
        scores = score(
            self.average,
            self.reference,
            self.extractor,
            seed=self.config.seed,
            neighbours=self.config.neighbours,
            present_share=self.config.present_share,
            replicas=replicas,
            purpose="selection",
        )
        return dict(scores)

    def picture(self) -> bytes:
        """A row for each of up to 16 classes, a column for each noise, always the same noise.

        Without classes each image has its own.
        """
        label_N = grid_labels(len(self.classes), COLUMNS)
        noises = COLUMNS if len(self.classes) > 1 else len(label_N)
        seed_N = self.config.seed + torch.arange(len(label_N)) % noises
        image_NHWC = generate(self.average, seed_N, label_N)
        return pictures.grid(image_NHWC, COLUMNS, max(1, 64 // image_NHWC.shape[1]))


def selector_of(selector: Selector | None, channels: int, device: torch.device) -> Extractor | None:
    """In whose features a GAN is watched, for images of C channels; none where nobody watches."""
    if selector is None:
        return None
    if not isinstance(selector, str):
        return build_extractor(selector, channels=channels, device=str(device))
    loaded = load_model(Path(selector))
    loaded.module.to(device)
    return ClassifierExtractor(loaded, "selector:features")
