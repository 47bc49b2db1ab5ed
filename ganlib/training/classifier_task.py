"""Images to classes: the judge, the selector, or a product of its own.

N samples of this rank, K classes, C channels, H W pixels
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from ganlib.augmentation.distortion import distort, draw_distortion
from ganlib.augmentation.mixup import draw_mixup, mix
from ganlib.augmentation.warp import draw_warp, warp
from ganlib.config import ClassifierConfig, Custom
from ganlib.data.images import sent
from ganlib.determinism import Replicas, stream, sub_seed
from ganlib.errors import ConfigError
from ganlib.losses.classification import balanced_weights, cross_entropy
from ganlib.models import build_classifier, key_dropout, save_model
from ganlib.models.custom import normalises_over_batch
from ganlib.training.compiled import Passes
from ganlib.training.feed import Batch, blank
from ganlib.training.optimiser import Optimiser
from ganlib.training.parts import mean, rows
from ganlib.training.precision import Arithmetic
from ganlib.training.schedule import factor
from ganlib.training.state import join, part


@dataclass(frozen=True)
class Lesson:
    """Images of this rank and their labels; mixed ones have another label and a share of theirs."""

    image_NCHW: Tensor
    label_N: Tensor
    other_N: Tensor | None = None
    share_N: Tensor | None = None

    def piece(self, rows: slice) -> Lesson:
        """Some of them."""
        return Lesson(
            self.image_NCHW[rows],
            self.label_N[rows],
            None if self.other_N is None else self.other_N[rows],
            None if self.share_N is None else self.share_N[rows],
        )


class ClassifierTask:
    """Cross entropy on distorted and mixed images; all draws belong to the place in the batch.

    `count_K` is how many training images each class has: only balanced class weights ask for it.
    Raises ConfigError naming class_weights if they are not one for each class, or if balanced ones
    have nothing to count; one naming the network if it is a user's own and normalises over the
    whole of a batch that is taken in parts.
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
        _refuse_batch_norms(config, classifier)
        self.classifier = arithmetic.place(classifier, device).train()
        self.optimiser = Optimiser(self.classifier, config.optimiser)
        self.weight_K = self._weights(count_K)
        self.passes = Passes(config.compile, device, replicas, classifier=self.classifier)
        share = config.batch_size // replicas.world
        self.passes.rehearse(self, blank(share, size, channels, device))

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> dict[str, Tensor]:
        self.passes.begin()
        rate = factor(self.config.schedule, clock, self.config.budget.images)
        image_NCHW = self._distorted(self.arithmetic.images(batch.image_NHWC), clock, replicas)
        whole = Lesson(image_NCHW, batch.label_N)
        if self.config.mixup:
            whole = self._mixed(image_NCHW, batch.label_N, clock, replicas)
        parts, first = self.config.accumulate, replicas.rank * len(batch.label_N)
        dropped = sub_seed(self.config.seed, "dropout", clock)
        told: list[dict[str, Tensor]] = []

        def losses() -> Iterator[Tensor]:
            for piece in rows(len(batch.label_N), parts):
                key_dropout(self.classifier, dropped, first + piece.start)
                loss, right = self._learnt(whole.piece(piece))
                told.append({"loss": loss.detach(), "accuracy": right})
                yield loss / parts

        self.optimiser.step(losses(), rate, replicas)
        return mean(told)

    def _learnt(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """The mean loss, and the share that was right."""
        with self.arithmetic.autocast(self.device):
            logits_NK = self.passes("classifier", lesson.image_NCHW)
        logits_NK = logits_NK.to(self.arithmetic.dtype)
        loss_N = self._loss(logits_NK, lesson.label_N)
        right_N = self._right(logits_NK, lesson.label_N)
        if lesson.other_N is not None and lesson.share_N is not None:
            share_N, other_N = lesson.share_N, lesson.other_N
            loss_N = share_N * loss_N + (1 - share_N) * self._loss(logits_NK, other_N)
            right_N = share_N * right_N + (1 - share_N) * self._right(logits_NK, other_N)
        return loss_N.mean(), right_N.mean()

    def _loss(self, logits_NK: Tensor, label_N: Tensor) -> Tensor:
        return cross_entropy(logits_NK, label_N, self.config.label_smoothing, self.weight_K)

    def _right(self, logits_NK: Tensor, label_N: Tensor) -> Tensor:
        return (logits_NK.detach().argmax(1) == label_N).to(self.arithmetic.dtype)

    def _mixed(self, image_NCHW: Tensor, label_N: Tensor, clock: int, replicas: Replicas) -> Lesson:
        """Mixed images, with their partners' labels and the own share in each.

        Partners come from the whole batch, so every rank is sent all its images, distorted as they
        are: the only way in which one rank and many mix the same pairs.
        """
        partner_N, share_N = draw_mixup(
            len(image_NCHW) * replicas.world,
            self.config.mixup,
            stream(self.config.seed, "mixup", clock),
        )
        mine_N = sent(replicas.slice(partner_N), self.device)
        share_N = sent(replicas.slice(share_N).to(self.arithmetic.dtype), self.device)
        mixed_NCHW = mix(image_NCHW, replicas.gather(image_NCHW)[mine_N], share_N)
        return Lesson(mixed_NCHW, label_N, replicas.gather(label_N)[mine_N], share_N)

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
            mine_N33 = replicas.slice(matrix_N33).to(self.arithmetic.dtype)
            image_NCHW = warp(image_NCHW, sent(mine_N33, self.device))
        if distortion.moves:
            offset_N2, flip_N = draw_distortion(
                count, distortion.shift, distortion.flip, stream(seed, "distortion", clock)
            )
            image_NCHW = distort(
                image_NCHW,
                sent(replicas.slice(offset_N2), self.device),
                sent(replicas.slice(flip_N), self.device),
                distortion.shift,
            )
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


def _refuse_batch_norms(config: ClassifierConfig, classifier: nn.Module) -> None:
    """What the configuration refuses of our networks, it could not see of a user's own."""
    if not isinstance(config.network, Custom):
        return
    if refusal := config.refusal(normalises_over_batch(classifier)):
        raise ConfigError(f"{config.network.build}: {refusal.reason}", where="classifier.network")


def _refused(reason: str) -> ConfigError:
    return ConfigError(
        reason,
        where="classifier.class_weights",
        hint="set it to none, to balanced, or to one number for each class",
    )
