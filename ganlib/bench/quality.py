"""CPU time to a given quality: ganlib's loop and the plain one, for the same networks on MNIST."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from ganlib.bench.loops import LOOPS, Loop
from ganlib.config import fingerprint, load_recipe, overlay, parse_assignments
from ganlib.data import Dataset, prepare
from ganlib.evaluation import ClassifierExtractor, Reference, score
from ganlib.evaluation.reference import build
from ganlib.models import load_model
from ganlib.stages.stamp import source_digest
from ganlib.storage import read_json, write_bytes, write_json
from ganlib.training import RunSpec
from ganlib.training.execute import execute
from ganlib.training.memory import keep_freed

COVERAGE = 0.8
MINUTES = 10.0
EVERY = 10_000
LATER = 10
# What a loop's result depends on beside its settings.
CODE = ("augmentation", "bench/loops.py", "bench/sides.py", "losses", "models", "training")

Score = Callable[[torch.nn.Module], float]
Say = Callable[[str], None]


def bench_quality(
    out: Path,
    *,
    settings: Iterable[str] = (),
    minutes: float = MINUTES,
    search: tuple[Path, ...] = (),
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """CPU-minutes of one thread until the raw coverage of MNIST's test images reaches 0.8.

    A LeNet-5 judges, 10,000 generated images are compared with the 10,000, and evaluating is not
    counted: it happens each 10,000 images, and later when a tenth more have been shown. A loop that
    has not come so far in `minutes` is reported as `> minutes`. After each look the loop's state is
    kept in `out`, and the same command goes on from there. Raises NotFound where MNIST cannot be
    had.
    """
    torch.set_num_threads(1)
    keep_freed()
    config = overlay(load_recipe("mnist"), parse_assignments(settings))
    config = overlay(config, {"gan.budget.images": 2**40})
    dataset = prepare(config.data, out / "data", search=search)
    held, judge = dataset.load("test"), judge_of(config, dataset, out / "judge", say)
    reference = build(
        held.image_NHWC, held.label_N, judge, None, config.evaluation.seed, other_NHWC=None
    )
    train = dataset.load("train")
    look = _look(config, reference, judge)
    cells = {}
    for name, loop in LOOPS.items():
        path = out / f"quality-{name}-{fingerprint(config, minutes, source_digest(CODE))[:8]}.json"
        if not path.exists():
            begun = path.with_suffix(".safetensors")
            say(f"training {name}")
            found = _until(loop(config, train), look, begun, minutes, say)
            write_json(path, found)
            begun.unlink(missing_ok=True)
        cells[name] = read_json(path)
    return {
        "recipe": "mnist",
        "settings": list(settings),
        "coverage": COVERAGE,
        "threads": 1,
        "seeds": {"gan": config.gan.seed, "evaluation": config.evaluation.seed},
        "cpu_minutes": {name: cell["cpu_minutes"] for name, cell in cells.items()},
        "cells": cells,
        "load_average": os.getloadavg()[0],
    }


def judge_of(config: Any, dataset: Dataset, folder: Path, say: Say) -> ClassifierExtractor:
    """The configuration's classifier, trained in `folder` unless it has been."""
    say("training the judge")
    spec = RunSpec.of(
        config.classifier,
        dataset_folder=str(dataset.folder),
        dataset_fingerprint=dataset.fingerprint,
        run_folder=str(folder.absolute()),
    )
    return ClassifierExtractor(load_model(Path(execute(spec).model)), "judge:features")


def _look(config: Any, reference: Reference, judge: ClassifierExtractor) -> Score:
    def coverage(generator: torch.nn.Module) -> float:
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
        return found.coverage

    return coverage


def _until(loop: Loop, look: Score, begun: Path, minutes: float, say: Say) -> dict[str, Any]:
    """Train until `look` gives enough or the minutes are used up; what is in `begun` is not done
    again.
    """
    series = _resumed(loop, begun)
    images, spent = (series[-1]["images"], series[-1]["cpu_minutes"]) if series else (0, 0.0)
    if not (series and _over(series, minutes)):
        since = time.process_time()
        for shown in loop.shown(images, EVERY):
            if shown < images + images // LATER:
                continue
            images = shown
            spent += (time.process_time() - since) / 60
            found = look(loop.generator)
            series.append({"images": images, "cpu_minutes": spent, "coverage": found})
            say(f"{images:,} images, {spent:.2f} CPU-minutes, coverage {found:.3f}")
            state = {name: tensor.contiguous() for name, tensor in loop.state_dict().items()}
            write_bytes(begun, save(state, metadata={"series": json.dumps(series)}))
            if _over(series, minutes):
                break
            since = time.process_time()
    reached = series[-1]["coverage"] >= COVERAGE
    told: float | str = series[-1]["cpu_minutes"] if reached else f"> {minutes:g}"
    return {"cpu_minutes": told, "reached": reached, "series": series}


def _over(series: list[dict[str, float]], minutes: float) -> bool:
    return series[-1]["coverage"] >= COVERAGE or series[-1]["cpu_minutes"] >= minutes


def _resumed(loop: Loop, begun: Path) -> list[dict[str, Any]]:
    if not begun.exists():
        return []
    with safe_open(begun, "pt") as file:
        names = file.keys()
        loop.load_state_dict({name: file.get_tensor(name) for name in names})
        series: list[dict[str, Any]] = json.loads(file.metadata()["series"])
    return series
