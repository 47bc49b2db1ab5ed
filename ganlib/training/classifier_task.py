"""Images to classes: the judge, the selector, or a product of its own.

N samples of this rank, K classes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.augmentation import distort, draw_distortion
from ganlib.config import ClassifierConfig
from ganlib.determinism import Replicas, stream, sub_seed
from ganlib.losses import classification
from ganlib.models import build_classifier, save_model
from ganlib.training.loop import Batch
from ganlib.training.optimiser import Optimiser
from ganlib.training.precision import Arithmetic
from ganlib.training.schedule import factor
from ganlib.training.state import join, part


class ClassifierTask:
    """Cross entropy on distorted images; the distortion belongs to the place in the batch."""

    def __init__(
        self,
        config: ClassifierConfig,
        *,
        size: int,
        channels: int,
        classes: Sequence[str],
        arithmetic: Arithmetic,
        replicas: Replicas,
        device: torch.device,
    ) -> None:
        self.config, self.arithmetic, self.device = config, arithmetic, device
        self.classes = tuple(classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sub_seed(config.seed, "weights/classifier"))
            classifier = build_classifier(
                config.network,
                size=size,
                channels=channels,
                classes=len(classes),
                replicas=replicas,
            )
        self.classifier = arithmetic.place(classifier, device).train()
        self.optimiser = Optimiser(self.classifier, config.optimiser)

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> dict[str, Tensor]:
        rate = factor(self.config.schedule, clock, self.config.budget.images)
        image_NCHW = self._distorted(self.arithmetic.images(batch.image_NHWC), clock, replicas)
        with self.arithmetic.autocast(self.device):
            logits_NK = self.classifier(image_NCHW)
        logits_NK = logits_NK.to(self.arithmetic.dtype)
        loss_N = classification.cross_entropy(logits_NK, batch.label_N, self.config.label_smoothing)
        loss = loss_N.mean()
        self.optimiser.step(loss, rate, replicas)
        right_N = logits_NK.detach().argmax(1) == batch.label_N
        return {"loss": loss.detach(), "accuracy": right_N.to(self.arithmetic.dtype).mean()}

    def _distorted(self, image_NCHW: Tensor, clock: int, replicas: Replicas) -> Tensor:
        distortion = self.config.distortion
        if not distortion.shift and not distortion.flip:
            return image_NCHW
        offset_N2, flip_N = draw_distortion(
            len(image_NCHW) * replicas.world,
            distortion.shift,
            distortion.flip,
            stream(self.config.seed, "distortion", clock),
        )
        return distort(image_NCHW, replicas.slice(offset_N2), replicas.slice(flip_N))

    def state_dict(self) -> dict[str, Tensor]:
        return join(
            {
                "classifier": self.classifier.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            }
        )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.classifier.load_state_dict(part(state, "classifier"))
        self.optimiser.load_state_dict(part(state, "optimiser"))

    def start_from(self, module: nn.Module) -> None:
        """Take the weights of a classifier of the same shape; raises RuntimeError otherwise."""
        self.classifier.load_state_dict(module.state_dict())

    def export(self, folder: Path, meta: dict[str, Any]) -> None:
        save_model(self.classifier, folder, kind="classifier", classes=self.classes, meta=meta)
