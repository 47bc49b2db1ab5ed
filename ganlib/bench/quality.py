"""CPU time to a given quality: ganlib's loop and the plain one, for the same networks on MNIST."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ganlib.bench.sides import CPU, plain_players, plain_steps, task
from ganlib.config import Cadence, fingerprint, load_recipe, overlay, parse_assignments
from ganlib.data import Dataset, prepare
from ganlib.determinism import Replicas
from ganlib.evaluation import ClassifierExtractor, Reference, score
from ganlib.evaluation.reference import build
from ganlib.models import load_model
from ganlib.storage import read_json, write_json
from ganlib.training import RunSpec
from ganlib.training.execute import execute
from ganlib.training.loop import Plan, Report, run
from ganlib.training.memory import keep_freed

COVERAGE = 0.8
MINUTES = 10.0
EVERY = 10_000

Shown = Iterator[tuple[int, nn.Module]]
"""Images shown so far, and the generator to look at, every so many images."""


def bench_quality(
    out: Path,
    *,
    settings: Iterable[str] = (),
    minutes: float = MINUTES,
    search: tuple[Path, ...] = (),
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """CPU-minutes of one thread until the raw coverage of MNIST's test images reaches 0.8.

    A LeNet-5 judges, 10,000 generated images are compared with the 10,000, and evaluating is not
    counted. A loop that has not come so far in `minutes` is reported as `> minutes`. What is done
    is kept in `out`, and the same command goes on from there.
    """
    torch.set_num_threads(1)
    keep_freed()
    config = overlay(load_recipe("mnist"), parse_assignments(settings))
    config = overlay(config, {"gan.budget.images": 2**40})
    dataset = prepare(config.data, out / "data", search=search)
    held, judge = dataset.load("test"), _judge(config, dataset, out, say)
    reference = build(
        held.image_NHWC, held.label_N, judge, None, config.evaluation.seed, other_NHWC=None
    )
    train = dataset.load("train")
    cells = {}
    for name, loop in (("ours", _ours), ("plain", _plain)):
        path = out / f"quality-{name}-{fingerprint(config, minutes)[:8]}.json"
        if not path.exists():
            found = _until(loop(config, train), reference, judge, config, minutes, name, say)
            write_json(path, found)
        cells[name] = read_json(path)
    return {
        "recipe": "mnist",
        "settings": list(settings),
        "coverage": COVERAGE,
        "threads": 1,
        "seeds": {"gan": config.gan.seed, "evaluation": config.evaluation.seed},
        "cells": cells,
        "load_average": os.getloadavg()[0],
    }


def _judge(
    config: Any, dataset: Dataset, out: Path, say: Callable[[str], None]
) -> ClassifierExtractor:
    say("training the judge")
    spec = RunSpec.of(
        config.classifier,
        dataset_folder=str(dataset.folder),
        dataset_fingerprint=dataset.fingerprint,
        run_folder=str((out / "judge").absolute()),
    )
    return ClassifierExtractor(load_model(Path(execute(spec).model)), "judge:features")


def _until(
    shown: Shown,
    reference: Reference,
    judge: ClassifierExtractor,
    config: Any,
    minutes: float,
    name: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    spent, series = 0.0, []
    begun = time.process_time()
    for images, generator in shown:
        spent += time.process_time() - begun
        was_training = generator.training
        found = score(
            generator.eval(),
            reference,
            judge,
            seed=config.evaluation.seed,
            neighbours=config.evaluation.neighbours,
            present_share=config.evaluation.present_share,
        )
        generator.train(was_training)
        series.append({"images": images, "cpu_minutes": spent / 60, "coverage": found["coverage"]})
        say(f"{name}: {images:,} images, {spent / 60:.2f} min, coverage {found['coverage']:.3f}")
        if found["coverage"] >= COVERAGE or spent >= 60 * minutes:
            break
        begun = time.process_time()
    reached = series[-1]["coverage"] >= COVERAGE
    told: float | str = series[-1]["cpu_minutes"] if reached else f"> {minutes:g}"
    return {"cpu_minutes": told, "reached": reached, "series": series}


def _ours(config: Any, train: Any) -> Shown:
    gan, far = config.gan, 2**40
    cadence = Cadence(report=EVERY, evaluate=far, sample=far, snapshot=far)
    plan = Plan(far, gan.batch_size, cadence, gan.seed, gan.discriminator.steps)
    built = task(config, CPU)
    for moment in run(built, train, plan, Replicas()):
        if isinstance(moment, Report):
            yield moment.clock, built.average


def _plain(config: Any, train: Any) -> Shown:
    generator, discriminator = plain_players(config)
    image_NCHW = train.image_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
    loader = DataLoader(
        TensorDataset(image_NCHW.contiguous(), train.label_N),
        batch_size=config.gan.batch_size,
        shuffle=True,
        drop_last=True,
    )
    before = 0
    for images in plain_steps(config, generator, discriminator, loader):
        if images // EVERY > before // EVERY:
            yield images, generator
        before = images
