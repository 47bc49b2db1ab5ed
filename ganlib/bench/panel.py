"""Who judges the GANs of one dataset: a classifier that is trained once, and what is real.

N images
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from ganlib.bench.quality import judge_of
from ganlib.config import PipelineConfig, fingerprint
from ganlib.data import Dataset
from ganlib.evaluation import (
    ClassifierExtractor,
    EvaluationTable,
    Reference,
    accuracy_of,
    generate,
    grid_labels,
    pictures,
    sample_sets,
    tabulate,
)
from ganlib.evaluation.kept import Kept
from ganlib.evaluation.reference import build
from ganlib.evaluation.sampling import blind

COLUMNS = 10


class Panel:
    """The judge, and what it sees of real images, is kept in `out`.

    Nothing is trained or looked at before it is asked for.
    """

    def __init__(
        self, config: PipelineConfig, dataset: Dataset, out: Path, say: Callable[[str], None]
    ) -> None:
        self.config, self.dataset, self.out, self.say = config, dataset, out, say
        self.name = f"judge-{fingerprint(config.classifier, dataset.fingerprint)[:8]}"

    @cached_property
    def judge(self) -> ClassifierExtractor:
        return judge_of(self.config, self.dataset, self.out / self.name, self.say)

    @cached_property
    def reference(self) -> Reference:
        held, train = self.dataset.load("test"), self.dataset.load("train")
        evaluation = self.config.evaluation
        return build(
            held.image_NHWC,
            held.label_N,
            self.judge,
            evaluation.samples,
            evaluation.seed,
            other_NHWC=train.image_NHWC,
            other_label_N=train.label_N,
            kept=Kept(self.out / self.name / "real", say=self.say),
        )

    def accuracy(self) -> float:
        """Of the judge on the test images."""
        held = self.dataset.load("test")
        return accuracy_of(self.judge, held.image_NHWC, held.label_N).accuracy

    def table(self, generator: nn.Module) -> EvaluationTable:
        """As `ganlib evaluate` judges it, from as many sample sets."""
        evaluation = self.config.evaluation
        sets = sample_sets(
            generator,
            self.reference,
            self.judge,
            seeds=[evaluation.seed + turn for turn in range(evaluation.repeats)],
            neighbours=evaluation.neighbours,
        )
        return tabulate(
            self.reference,
            sets,
            neighbours=evaluation.neighbours,
            present_share=evaluation.present_share,
            names=self.dataset.classes,
        )

    def heedless(self, generator: nn.Module) -> bool:
        """Whether it cannot be asked for a class."""
        return blind(generator, len(self.dataset.classes))

    def grid(self, generator: nn.Module) -> bytes:
        """A PNG of ten images each of noise of its own; a row to a class that can be asked for."""
        names = self.dataset.classes
        label_N = grid_labels(len(names), COLUMNS)
        seed_N = torch.arange(len(label_N)) + self.config.evaluation.seed
        return pictures.grid(
            generate(generator, seed_N, label_N),
            COLUMNS,
            max(1, round(48 / self.dataset.size)),
            names=() if self.heedless(generator) else names,
        )
