"""Short runs that collapse on purpose or do not: what the detector read, and what was true.

N images, K classes
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ganlib.bench.scarce import CPU, FAR
from ganlib.collapse.signals import class_spread
from ganlib.config import Cadence, ClassifierConfig, PipelineConfig, Record, load_recipe, overlay
from ganlib.data import Dataset, Images, prepare
from ganlib.determinism import Replicas, sub_seed
from ganlib.evaluation import ClassifierExtractor, Reference, sample_sets
from ganlib.evaluation.reference import build
from ganlib.metrics import class_shares, present
from ganlib.models import load_model
from ganlib.training import RunSpec, precision
from ganlib.training.execute import execute
from ganlib.training.gan_task import GanTask
from ganlib.training.guard import Guard
from ganlib.training.loop import Plan, Report, run

READINGS = 20
JUDGED = 1_000
FEW = 2  # images of each class

RACING: dict[str, Any] = {
    "generator.optimiser": {"kind": "adam", "learning_rate": 1e-2, "beta1": 0.9},
    "discriminator.optimiser": {"kind": "adam", "learning_rate": 2e-4, "beta1": 0.9},
}
SLOW = {"kind": "adam", "learning_rate": 2e-4, "beta1": 0.5}
RECIPES: dict[str, dict[str, Any]] = {
    "digits": {"budget.images": 60_000},
    "mnist": {
        "budget.images": 40_000,
        "generator.network.width": 16,
        "discriminator.network.width": 16,
    },
}


@dataclass(frozen=True)
class Mechanism:
    """What makes a run collapse, or what sort of healthy run it is.

    `changes` are of the recipe's GAN, `later` of its optimisers from the middle of the budget on.
    With `few` it learns from two images of each class, with `dropped` one class is not learnt.
    """

    collapses: bool
    changes: Mapping[str, Any] = field(default_factory=dict)
    later: Mapping[str, Any] = field(default_factory=dict)
    few: bool = False
    dropped: bool = False


MECHANISMS = {
    "as the recipe stands": Mechanism(False),
    "slow": Mechanism(
        False,
        {
            "generator.optimiser.learning_rate": 3e-4,
            "discriminator.optimiser.learning_rate": 3e-4,
        },
    ),
    "without classes": Mechanism(
        False,
        {
            "generator.network.conditioning": "none",
            "discriminator.network.conditioning": "none",
        },
    ),
    "rates": Mechanism(True, {"discriminator.network.norm": "none", **RACING}),
    "class planes": Mechanism(
        True,
        {
            "discriminator.network.norm": "batch",
            "discriminator.network.conditioning": "concatenation",
            "loss": {"kind": "non_saturating"},
            "generator.optimiser": SLOW,
            "discriminator.optimiser": SLOW,
        },
    ),
    "few images": Mechanism(True, {"augmentation": {"kind": "diffaugment"}}, few=True),
    "class drop": Mechanism(True, dropped=True),
    "late rates": Mechanism(True, later=RACING),
}


@dataclass(frozen=True)
class Ground:
    """A dataset with its judge, which tells the truth, and the selector the detector looks by."""

    config: PipelineConfig
    dataset: Dataset
    judge: ClassifierExtractor
    selector: str
    truth: Reference

    @staticmethod
    def of(name: str, out: Path, search: tuple[Path, ...]) -> Ground:
        """Trained in `out`, unless they are there."""
        config = load_recipe(name)
        dataset = prepare(config.data, out / "data", search=search)
        models = [_classifier(config.classifier, dataset, out / name, n) for n in (0, 1)]
        judge = ClassifierExtractor(load_model(Path(models[0])), "judge:features")
        held = dataset.load("test")
        truth = build(
            held.image_NHWC,
            held.label_N,
            judge,
            min(JUDGED, len(held)),
            config.evaluation.seed,
            other_NHWC=dataset.load("train").image_NHWC,
        )
        return Ground(config, dataset, judge, models[1], truth)


def _classifier(config: ClassifierConfig, dataset: Dataset, out: Path, number: int) -> str:
    config = config.model_copy(update={"seed": config.seed + number})
    spec = RunSpec.of(
        config,
        dataset_folder=str(dataset.folder),
        dataset_fingerprint=dataset.fingerprint,
        run_folder=str((out / f"classifier-{number}").absolute()),
    )
    return execute(spec).model


def one_run(
    ground: Ground, recipe: str, name: str, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """A cell: `series` and `null` to replay, and beside each reading what the judge says of 1,000.

    `training_s` and `reading_s` are processor seconds; readings include the null. Raises Diverged.
    """
    mechanism = MECHANISMS[name]
    gan = overlay(ground.config.gan, {**RECIPES[recipe], **mechanism.changes})
    every = gan.budget.images // READINGS
    gan = gan.model_copy(
        update={"seed": sub_seed(seed, f"detector/{name}") % 2**31, "collapse": Record(every=every)}
    )
    everyone = ground.dataset.load("train")
    learnt = _learnt(everyone, len(ground.dataset.classes), mechanism, seed)
    replicas = Replicas()
    task = GanTask(
        gan,
        size=ground.dataset.size,
        channels=ground.dataset.channels,
        classes=ground.dataset.classes,
        arithmetic=precision.resolve(gan.precision, CPU, ground.dataset.size),
        replicas=replicas,
        device=CPU,
    )
    guard = Guard(task, everyone, ground.selector, gan.collapse)
    cadence = Cadence(report=every, evaluate=FAR, sample=FAR, snapshot=FAR)
    plan = Plan(gan.budget.images, gan.batch_size, cadence, gan.seed, gan.discriminator.steps)
    spent, truth = {"training_s": 0.0, "reading_s": 0.0}, []
    begun = time.process_time()
    for moment in run(task, learnt, plan, replicas):
        if not isinstance(moment, Report):
            continue
        spent["training_s"] += time.process_time() - begun
        begun = time.process_time()
        taken = guard.read(moment.clock, moment.values, replicas, last=True)
        spent["reading_s"] += time.process_time() - begun
        if taken:
            truth.append(_truth(ground, task))
        if moment.clock >= gan.budget.images // 2:
            _turn(task, mechanism.later)
        begun = time.process_time()
    say(f"{recipe}, {name}, seed {seed}: {guard.verdict}")
    null = guard.eye.null
    return {
        "recipe": recipe,
        "mechanism": name,
        "collapses": mechanism.collapses,
        "seed": seed,
        "images": gan.budget.images,
        "series": guard.series,
        "null": {"centre": dict(null.centre), "spread": dict(null.spread)},
        "truth": truth,
        **spent,
    }


def _learnt(images: Images, classes: int, mechanism: Mechanism, seed: int) -> Images:
    label_N = images.label_N
    if mechanism.few:
        row_N = torch.cat([(label_N == k).nonzero()[:FEW, 0] for k in range(classes)])
    elif mechanism.dropped:
        row_N = (label_N != seed % classes).nonzero()[:, 0]
    else:
        return images
    return Images(images.image_NHWC[row_N], label_N[row_N])


def _truth(ground: Ground, task: GanTask) -> dict[str, float]:
    """Shares of what real images have: coverage, classes, and the variance inside them."""
    evaluation, real, classes = ground.config.evaluation, ground.truth, len(ground.dataset.classes)
    k = evaluation.neighbours
    (taken,) = sample_sets(task.average, real, ground.judge, seeds=[evaluation.seed], neighbours=k)
    share_K = class_shares(taken.fake.judged(), classes)
    spread_K = class_spread(taken.fake.feature_NF.cpu(), taken.of_class_N, classes)
    real_K = class_spread(real.real.feature_NF.cpu(), real.real.label_N, classes)
    return {
        "coverage": taken.sums.finish(k).coverage / real.floor(k).coverage,
        "classes": present(share_K, real.shares(), evaluation.present_share) / classes,
        "spread": float((spread_K / real_K).nanmean()),
    }


def _turn(task: GanTask, later: Mapping[str, Any]) -> None:
    """The optimisers learn on by other rates."""
    for path, value in later.items():
        optimiser = getattr(task, f"{path.partition('.')[0]}_optimiser")
        optimiser.config = type(optimiser.config).model_validate(value)
        for group in optimiser.inner.param_groups:
            group["betas"] = (optimiser.config.beta1, optimiser.config.beta2)
