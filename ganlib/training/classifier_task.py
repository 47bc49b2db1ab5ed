"""Images to classes: the judge, the selector, or a product of its own.

N samples of this rank, K classes, C channels, H W pixels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from ganlib.augmentation.distortion import distort, draw_distortion
from ganlib.augmentation.mixup import draw_mixup, mix
from ganlib.augmentation.warp import draw_warp, warp
from ganlib.config import ClassifierConfig
from ganlib.determinism import Replicas, stream, sub_seed
from ganlib.errors import ConfigError
from ganlib.losses.classification import balanced_weights, cross_entropy
from ganlib.models import build_classifier, key_dropout, save_model
from ganlib.training.loop import Batch
from ganlib.training.optimiser import Optimiser
from ganlib.training.precision import Arithmetic
from ganlib.training.schedule import factor
from ganlib.training.state import join, part


class ClassifierTask:
    """Cross entropy on distorted and mixed images; all draws belong to the place in the batch.

    `count_K` is how many training images each class has: only balanced class weights ask for it.
    Raises ConfigError naming class_weights if they are not one for each class, or if balanced ones
    have nothing to count.
    """

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
        count_K: Tensor | None = None,
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
        self.weight_K = self._weights(count_K)

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> dict[str, Tensor]:
        rate = factor(self.config.schedule, clock, self.config.budget.images)
        image_NCHW = self._distorted(self.arithmetic.images(batch.image_NHWC), clock, replicas)
        label_N, other_N, share_N = batch.label_N, None, None
        if self.config.mixup:
            image_NCHW, other_N, share_N = self._mixed(image_NCHW, label_N, clock, replicas)
        first = replicas.rank * len(label_N)
        key_dropout(self.classifier, sub_seed(self.config.seed, "dropout", clock), first)
        with self.arithmetic.autocast(self.device):
            logits_NK = self.classifier(image_NCHW)
        logits_NK = logits_NK.to(self.arithmetic.dtype)
        loss_N = self._loss(logits_NK, label_N)
        right_N = self._right(logits_NK, label_N)
        if other_N is not None and share_N is not None:
            loss_N = share_N * loss_N + (1 - share_N) * self._loss(logits_NK, other_N)
            right_N = share_N * right_N + (1 - share_N) * self._right(logits_NK, other_N)
        loss = loss_N.mean()
        self.optimiser.step(loss, rate, replicas)
        return {"loss": loss.detach(), "accuracy": right_N.mean()}

    def _loss(self, logits_NK: Tensor, label_N: Tensor) -> Tensor:
        return cross_entropy(logits_NK, label_N, self.config.label_smoothing, self.weight_K)

    def _right(self, logits_NK: Tensor, label_N: Tensor) -> Tensor:
        return (logits_NK.detach().argmax(1) == label_N).to(self.arithmetic.dtype)

    def _mixed(
        self, image_NCHW: Tensor, label_N: Tensor, clock: int, replicas: Replicas
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The mixed images, their partners' labels, and the own share in each.

        Partners come from the whole batch, so every rank is sent all its images, distorted as they
        are: the only way in which one rank and many mix the same pairs.
        """
        partner_N, share_N = draw_mixup(
            len(image_NCHW) * replicas.world,
            self.config.mixup,
            stream(self.config.seed, "mixup", clock),
        )
        mine_N = replicas.slice(partner_N).to(self.device)
        share_N = replicas.slice(share_N).to(self.device, self.arithmetic.dtype)
        mixed_NCHW = mix(image_NCHW, replicas.gather(image_NCHW)[mine_N], share_N)
        return mixed_NCHW, replicas.gather(label_N)[mine_N], share_N

    def _weights(self, count_K: Tensor | None) -> Tensor | None:
        match self.config.class_weights:
            case "none":
                return None
            case "balanced":
                if count_K is None:
                    raise _refused("balanced class weights need the number of images of each class")
                weight_K = balanced_weights(count_K)
            case tuple(given):
                if len(given) != len(self.classes):
                    raise _refused(f"{len(given)} class weights for {len(self.classes)} classes")
                weight_K = torch.tensor(given, dtype=torch.float64)
            case _ as never:
                assert_never(never)
        return weight_K.to(self.device, self.arithmetic.dtype)

    def _distorted(self, image_NCHW: Tensor, clock: int, replicas: Replicas) -> Tensor:
        distortion, seed = self.config.distortion, self.config.seed
        count = len(image_NCHW) * replicas.world
        if distortion.warps:
            matrix_N33 = draw_warp(
                count,
                rotate=distortion.rotate,
                scale=distortion.scale,
                squeeze=distortion.squeeze,
                shear=distortion.shear,
                generator=stream(seed, "warp", clock),
            )
            image_NCHW = warp(image_NCHW, replicas.slice(matrix_N33))
        if distortion.moves:
            offset_N2, flip_N = draw_distortion(
                count, distortion.shift, distortion.flip, stream(seed, "distortion", clock)
            )
            image_NCHW = distort(image_NCHW, replicas.slice(offset_N2), replicas.slice(flip_N))
        return image_NCHW

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


def _refused(reason: str) -> ConfigError:
    return ConfigError(
        reason,
        where="classifier.class_weights",
        hint="set it to none, to balanced, or to one number for each class",
    )
