"""Short runs that collapse on purpose or do not: what the detector read, and what was true.

N images, K classes
"""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from ganlib.bench.mechanisms import BASES, MECHANISMS, STANDING, Mechanism, file_of, learnt
from ganlib.bench.scarce import CPU, FAR
from ganlib.collapse.null import to_json
from ganlib.collapse.signals import class_spread
from ganlib.config import (
    Cadence,
    ClassifierConfig,
    PipelineConfig,
    Record,
    fingerprint,
    load_recipe,
    overlay,
)
from ganlib.data import Dataset, Images, prepare
from ganlib.determinism import Replicas, sub_seed
from ganlib.errors import Diverged, NotFound
from ganlib.evaluation import ClassifierExtractor, Reference, balanced_labels, generate
from ganlib.evaluation.pictures import grid
from ganlib.evaluation.reference import build
from ganlib.evaluation.sampling import blind, grid_labels, sample_seeds
from ganlib.metrics import class_shares, coverage, present
from ganlib.models import load_model
from ganlib.storage import read_json, write_bytes, write_json
from ganlib.training import RunSpec, precision
from ganlib.training.execute import execute
from ganlib.training.gan_task import GanTask
from ganlib.training.guard import Guard
from ganlib.training.loop import Plan, Report, run

READINGS = 20
OWN = 512  # images between the readings of a run that goes on
JUDGED = 1_000
COLUMNS = 10
STATE = "state.safetensors"
# Far higher rates than a long training takes: what counts is to be good after 300 steps.
GAN: dict[str, Any] = {
    "generator.network.width": 16,
    "discriminator.network.width": 16,
    "generator.optimiser.learning_rate": 8e-3,
    "discriminator.optimiser.learning_rate": 8e-3,
    "ema.half_life": 1_000,
    "batch_size": 128,
    "budget.images": 38_400,
    "precision": "float32",
}
# At 16 pixels 300 steps cover half as much of MNIST as real images do; digits at 8 nearly all.
EIGHT: dict[str, Any] = {
    "data.size": 8,
    "classifier.network": {"kind": "resnet", "width": 16, "blocks": 1},
    "classifier.budget.images": 40_000,
}
SELECTOR = {"network": {"kind": "resnet", "width": 8, "blocks": 1}}


@dataclass(frozen=True)
class Scene:
    """A recipe with changes of its own and of its GAN."""

    recipe: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    gan: Mapping[str, Any] = field(default_factory=dict)


SCENES = {
    "digits": Scene("digits", {}, GAN),
    "mnist": Scene("mnist", EIGHT, GAN),
    "fashion-mnist": Scene("fashion-mnist", EIGHT, GAN),
    "cifar10": Scene("cifar10", EIGHT, GAN),
    "flowers5": Scene("folder", EIGHT, GAN),
}


@dataclass(frozen=True)
class Ground:
    """A scene's images with their judge, which tells the truth, and the detector's selector.

    The selector is a narrower network of other weights, and the judge holds samples against test
    and validation images: the detector knows neither.
    """

    scene: Scene
    config: PipelineConfig
    dataset: Dataset
    train: Images
    judge: ClassifierExtractor
    selector: str
    truth: Reference

    @staticmethod
    def of(name: str, out: Path, search: tuple[Path, ...]) -> Ground:
        """Trained in `out`, unless they are there. Raises NotFound where there are no images."""
        scene = SCENES[name]
        config = overlay(load_recipe(scene.recipe), scene.changes)
        if name == "flowers5":
            config = overlay(config, {"data.source.path": str(_flowers(search, out / "pictures"))})
        dataset = prepare(config.data, out / "data", search=search)
        judge = _classifier(config.classifier, dataset, out / name)
        other = overlay(config.classifier, {**SELECTOR, "seed": config.classifier.seed + 1})
        selector = _classifier(other, dataset, out / name)
        loaded = ClassifierExtractor(load_model(Path(judge)), "judge:features")
        train = dataset.load("train")
        held = [dataset.load(split) for split in ("test", "validation")]
        truth = build(
            torch.cat([images.image_NHWC for images in held]),
            torch.cat([images.label_N for images in held]),
            loaded,
            min(JUDGED, sum(map(len, held))),
            config.evaluation.seed,
            other_NHWC=train.image_NHWC,
        )
        return Ground(scene, config, dataset, train, loaded, selector, truth)

    @torch.no_grad()
    def judged(self, generator: nn.Module) -> dict[str, float]:
        """Shares of what real images have: coverage, classes, and the variance inside them."""
        evaluation, real, classes = self.config.evaluation, self.truth, len(self.dataset.classes)
        label_N = balanced_labels(real.samples, real.shares())
        seed_N = sample_seeds(evaluation.seed, torch.arange(real.samples))
        feature_NF, logits_NK = self.judge(generate(generator, seed_N, label_N))
        of_class_N = logits_NK.argmax(1) if blind(generator, classes) else label_N
        k, real_NF = evaluation.neighbours, real.real.feature_NF
        covered = coverage(real_NF, feature_NF, k, real_squared_radius_N=real.squared_radii(k))
        share_K = class_shares(logits_NK.argmax(1), classes)
        spread_K = class_spread(feature_NF, of_class_N, classes)
        real_K = class_spread(real_NF, real.real.label_N, classes)
        return {
            "coverage": covered / real.floor(k).coverage,
            "classes": present(share_K, real.shares(), evaluation.present_share) / classes,
            "spread": float((spread_K / real_K).nanmean()),
        }


def _flowers(search: tuple[Path, ...], folder: Path) -> Path:
    for root in search:
        archive = root / "flowers5" / "flowers5_128.zip"
        if archive.is_file():
            if not (folder / "flowers5").is_dir():
                part = folder / "part"
                with zipfile.ZipFile(archive) as packed:
                    packed.extractall(part)
                os.replace(part / "flowers5", folder / "flowers5")
            return folder / "flowers5"
    raise NotFound(
        "there is no flowers5/flowers5_128.zip",
        where="GANLIB_DATA",
        hint="set GANLIB_DATA to the folder that holds it, or leave flowers5 out by --dataset",
    )


def _classifier(config: ClassifierConfig, dataset: Dataset, out: Path) -> str:
    folder = out / f"classifier-{fingerprint(config, dataset.fingerprint)[:8]}"
    spec = RunSpec.of(
        config,
        dataset_folder=str(dataset.folder),
        dataset_fingerprint=dataset.fingerprint,
        run_folder=str(folder.absolute()),
    )
    return execute(spec).model


@dataclass
class Course:
    """One run on its way: the task and how it is watched.

    `clock` is where it stands, `truth` what the judge said at each reading of the guard.
    """

    ground: Ground
    mechanism: Mechanism
    task: GanTask
    guard: Guard
    clock: int = 0
    truth: list[dict[str, float]] = field(default_factory=list)
    training_s: float = 0.0
    reading_s: float = 0.0

    def follow(self, images: Images, readings: int, every: int, turned: bool = False) -> None:
        """Train on `images` for so many readings. Raises Diverged."""
        config, until = self.task.config, self.clock + readings * every
        cadence = Cadence(report=every, evaluate=FAR, sample=FAR, snapshot=FAR)
        plan = Plan(until, config.batch_size, cadence, config.seed, config.discriminator.steps)
        self._race(turned and self.mechanism.races(0))
        begun, since = len(self.truth), time.process_time()
        for moment in run(self.task, images, plan, Replicas(), start=self.clock):
            if not isinstance(moment, Report):
                continue
            trained = time.process_time()
            self.guard.read(moment.clock, moment.values, Replicas(), last=True)
            self.training_s += trained - since
            self.reading_s += time.process_time() - trained
            self.truth.append(self.ground.judged(self.task.average))
            self._race(turned and self.mechanism.races(len(self.truth) - begun))
            since = time.process_time()
        self.clock = until

    def _race(self, racing: bool) -> None:
        """By the mechanism's later rates or by the run's own."""
        config = self.task.config
        rates = overlay(config, self.mechanism.later) if racing else config
        for player in ("generator", "discriminator"):
            optimiser = getattr(self.task, f"{player}_optimiser")
            optimiser.config = getattr(rates, player).optimiser
            for group in optimiser.inner.param_groups:
                group["betas"] = (optimiser.config.beta1, optimiser.config.beta2)


def course(ground: Ground, name: str, seed: int, before: Path) -> Course:
    """A run from its beginning to its end; `before` holds what the healthy runs left.

    Raises Diverged.
    """
    mechanism, data = MECHANISMS[name], ground.dataset
    gan = overlay(ground.config.gan, {**ground.scene.gan, **mechanism.changes})
    every = OWN * mechanism.pace if mechanism.goes_on else gan.budget.images // READINGS
    of = f"detector/{mechanism.goes_on or name}"
    gan = gan.model_copy(
        update={"seed": sub_seed(seed, of) % 2**31, "collapse": Record(every=every)}
    )
    task = GanTask(
        gan,
        size=data.size,
        channels=data.channels,
        classes=data.classes,
        arithmetic=precision.resolve(gan.precision, CPU, data.size),
        replicas=Replicas(),
        device=CPU,
    )
    everyone = ground.train
    found = Course(ground, mechanism, task, Guard(task, everyone, ground.selector, gan.collapse))
    if not mechanism.goes_on:
        found.follow(everyone, READINGS, every)
        return found
    folder = before / file_of(mechanism.goes_on, seed)
    _continue(found, folder)
    turn = mechanism.turn(seed, READINGS) if mechanism.turns else READINGS
    found.follow(everyone, turn, every)
    if turn < READINGS:
        some = learnt(everyone, len(data.classes), mechanism.lesson, seed)
        found.follow(some, READINGS - turn, every, turned=True)
    return found


def _continue(course: Course, folder: Path) -> None:
    """From what `one_run` left of a healthy run in `folder`; Diverged where that run has."""
    kept = read_json(folder / "cell.json")
    if "series" not in kept:
        raise Diverged(0, f"the run that it goes on from ({kept['mechanism']})")
    course.task.load_state_dict(load((folder / STATE).read_bytes()))
    series = [(int(clock), values) for clock, values in kept["series"]]
    course.clock, course.truth = series[-1][0], list(kept["truth"])
    course.guard.resume(course.clock, series)


def one_run(ground: Ground, scene: str, name: str, seed: int, out: Path) -> dict[str, Any]:
    """A cell: `series` and `null` to replay, and beside each reading what the judge says.

    `base` is the healthy run that says what can be had, `start` the clock at which it began to
    differ from the run it goes on from, `turn` the one from which something made it collapse,
    `picture` 10 images of each class at its end. `training_s` and `reading_s` are processor
    seconds; readings include the null. One that diverged has none of these. It is kept below `out`,
    and with a healthy run what goes on from there needs.
    """
    folder, begun = out / file_of(name, seed), time.process_time()
    about = {"dataset": scene, "mechanism": name, "seed": seed}
    try:
        ended = course(ground, name, seed, out)
    except Diverged as error:
        cell = about | {"diverged": error.message}
        write_json(folder / "cell.json", cell)
        return cell
    mechanism, every = MECHANISMS[name], ended.task.config.collapse.every
    start = ended.clock - READINGS * every
    if name in BASES:
        write_bytes(folder / STATE, save(ended.task.state_dict()))
    write_bytes(folder / "grid.png", _picture(ended))
    cell = about | {
        "base": mechanism.goes_on or (name if name in BASES else STANDING),
        "collapses": mechanism.collapses,
        "in_data": mechanism.in_data,
        "start": start,
        "turn": start + every * (mechanism.turn(seed, READINGS) if mechanism.turns else 0),
        "images": ended.clock,
        "series": ended.guard.series,
        "null": to_json(ended.guard.eye.null),
        "truth": ended.truth,
        "picture": str(folder / "grid.png"),
        "training_s": ended.training_s,
        "reading_s": ended.reading_s,
        "cpu_s": time.process_time() - begun,
        "load_average": os.getloadavg()[0],
    }
    write_json(folder / "cell.json", cell)
    return cell


def _picture(course: Course) -> bytes:
    names = course.ground.dataset.classes
    label_N = grid_labels(len(names), COLUMNS)
    image_NHWC = generate(course.task.average, torch.arange(len(label_N)), label_N)
    return grid(image_NHWC, COLUMNS, 2)
