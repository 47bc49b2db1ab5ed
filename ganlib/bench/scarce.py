"""What `ganlib bench few` trains on a handful of real images of each class.

N samples, K classes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import torch

from ganlib.config import (
    Cadence,
    Distortion,
    GanConfig,
    PipelineConfig,
    overlay,
)
from ganlib.data import Dataset, Images
from ganlib.determinism import Replicas, stream, sub_seed
from ganlib.errors import ConfigError
from ganlib.evaluation import taught_accuracy
from ganlib.evaluation.teaching import Learn
from ganlib.stages.teaching import learner
from ganlib.training import precision
from ganlib.training.gan_task import GanTask
from ganlib.training.loop import Plan, Task, run

CPU = torch.device("cpu")
FAR = 2**40


def distortion(strength: float, size: int) -> Distortion:
    """`strength` 1 warps as the recipe mnist-lenet5 and shifts 28 pixels by 2; 0 does nothing.

    Shift, turn, scale, squeeze and shear grow together. Digits are not mirrored.
    """
    return Distortion(
        shift=round(strength * size / 14),
        rotate=10 * strength,
        scale=0.1 * strength,
        squeeze=0.1 * strength,
        shear=0.1 * strength,
    )


@dataclass(frozen=True)
class Lab:
    """A prepared set and what is trained on parts of it, on the CPU, without snapshots."""

    config: PipelineConfig
    dataset: Dataset

    @cached_property
    def train(self) -> Images:
        return self.dataset.load("train")

    @cached_property
    def validation(self) -> Images:
        return self.dataset.load("validation")

    @cached_property
    def test(self) -> Images:
        return self.dataset.load("test")

    def drawn(self, per_class: int, seed: int) -> Images:
        """Of each class the first `per_class` of an order that `seed` names, so fewer images are
        among more. Raises ConfigError for a class that has not so many.
        """
        least = min(self.dataset.class_counts["train"])
        if per_class > least:
            raise ConfigError(
                f"{per_class} images of each class are asked for, and one class of the training "
                f"images has {least}",
                where="--per-class",
                hint=f"ask for {least} or fewer",
            )
        label_N = self.train.label_N
        rows = []
        for k in range(len(self.dataset.classes)):
            row_N = (label_N == k).nonzero()[:, 0]
            order_N = torch.randperm(len(row_N), generator=stream(seed, "few/images", k))
            rows.append(row_N[order_N[:per_class]])
        chosen_N = torch.cat(rows)
        return Images(self.train.image_NHWC[chosen_N], label_N[chosen_N])

    def accuracies(
        self, images: Images, split: Images, *, seed: int, repeats: int
    ) -> dict[str, Any]:
        """On `split`, of classifiers taught by `images` whose seeds differ, and their CPU time."""
        begun = time.process_time()
        found = [
            taught_accuracy(images, self.learner(seed, number), split).accuracy
            for number in range(repeats)
        ]
        return {
            "accuracy": fmean(found),
            "accuracies": found,
            "cpu_minutes": (time.process_time() - begun) / 60,
        }

    def learner(self, seed: int, number: int) -> Learn:
        """Trains the classifier numbered so, the same in its draws whatever it is taught by."""
        drawn = sub_seed(seed, "few/classifier", number) % 2**31
        config = self.config.classifier.model_copy(update={"seed": drawn})
        return learner(config, self.dataset, CPU)

    def gan(self, images: Images, seed: int) -> GanTask:
        """Trained on `images` alone; its `average` is the generator to use."""
        drawn = sub_seed(seed, "few/gan") % 2**31
        config = self.config.gan.model_copy(update={"seed": drawn})
        task = GanTask(config, **self._made(config))
        _train(task, images, config, draws=config.discriminator.steps)
        return task

    def distorted(self, strength: float) -> Lab:
        """The same with classifiers that see their images distorted so much."""
        told = distortion(strength, self.dataset.size).model_dump()
        return Lab(overlay(self.config, {"classifier.distortion": told}), self.dataset)

    def _made(self, config: GanConfig) -> dict[str, Any]:
        return {
            "size": self.dataset.size,
            "channels": self.dataset.channels,
            "classes": self.dataset.classes,
            "arithmetic": precision.resolve(config.precision, CPU, self.dataset.size),
            "replicas": Replicas(),
            "device": CPU,
        }


def _train(task: Task, images: Images, config: GanConfig, *, draws: int) -> None:
    """Raises Diverged."""
    cadence = Cadence(report=config.cadence.report, evaluate=FAR, sample=FAR, snapshot=FAR)
    plan = Plan(config.budget.images, config.batch_size, cadence, config.seed, draws)
    for _ in run(task, images, plan, Replicas()):
        pass
