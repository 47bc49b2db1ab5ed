"""What a GAN adds for a classifier when there are few images, beside tuned distortion of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from ganlib.bench.scarce import Lab
from ganlib.config import fingerprint, load_recipe, overlay, parse_assignments
from ganlib.data import Images, prepare
from ganlib.evaluation import balanced_labels, generated_images, mixed
from ganlib.evaluation.pictures import grid
from ganlib.metrics import of_mean
from ganlib.models import load_model
from ganlib.storage import read_json, write_bytes, write_json
from ganlib.training.memory import keep_freed

STRENGTHS = (0.0, 1.0, 2.0, 3.0)
TUNING_SEEDS = (1001, 1002)
REPEATS = 2
GENERATED = 1000
SHARE = 0.5
SHOWN = 10
NOISE = "teaching"  # what is kept was taught by images from this stream

# Of the recipe, before what is set by --set. With the recipe's vector of the class, half as long as
# the noise, a GAN on ten images of each class draws nearly one picture a class: its spread within
# classes was .06 of the real one's with R1 and R2. At 4 beside 128 it is .66 to .70.
CHANGES: dict[str, Any] = {
    "classifier.budget.images": 60_000,
    "gan.budget.images": 60_000,
    "gan.batch_size": 16,
    "gan.augmentation": {"kind": "diffaugment"},
    "gan.generator.network.embedding_size": 4,
    "gan.generator.network.latent_size": 128,
    "gan.generator.optimiser.learning_rate": 5e-4,
    "gan.discriminator.optimiser.learning_rate": 5e-4,
}
MEASURES = ("classical", "generated", "both", "gain")

Say = Callable[[str], None]
Told = dict[str, Any]


def bench_few(
    out: Path,
    *,
    dataset: str = "mnist",
    per_class: Sequence[int] = (10, 50, 100),
    seeds: int = 3,
    generated: int = GENERATED,
    repeats: int = REPEATS,
    settings: Iterable[str] = (),
    search: tuple[Path, ...] = (),
    say: Say = lambda text: None,
) -> Told:
    """Test accuracy of the same classifier, trained for the same number of steps on three sets.

    For each number of real images of each class and each seed: `classical`, those images,
    distorted; `generated`, the images alone that a conditional GAN gives which was trained on the
    very same ones (the classification accuracy score of Ravuri and Vinyals 2019); `both`, half of
    the training images real and half generated. All three are distorted alike, as strongly as is
    best for `classical` on the recipe's validation images at seeds of its own: more images than
    anybody with so few has, so `classical` is if anything favoured. `gain` is both - classical of
    the same real images, seed by seed. Means are over seeds, each with its 95 % interval by
    Student's t, none of one seed. `warnings` tells where the strongest distortion was the best, so
    that a still stronger one might be better for `classical`.

    Every part is kept in `out` as soon as it is done, and the same command goes on from there.
    Raises ConfigError for a class with too few images, Diverged if a GAN does.
    """
    torch.set_num_threads(1)
    keep_freed()
    config = overlay(overlay(load_recipe(dataset), CHANGES), parse_assignments(settings))
    lab = Lab(config, prepare(config.data, out / "data", search=search))
    tuning, cells = {}, []
    for count in per_class:
        tuning[str(count)] = tuned = _tuned(lab, count, out, say)
        for seed in range(seeds):
            distorted = lab.distorted(tuned["strength"])
            cells.append(_cell(distorted, count, seed, (generated, repeats), out, say))
    warnings = [text for count, tuned in tuning.items() if (text := at_the_end(count, tuned))]
    for text in warnings:
        say(text)
    rows = [summary(count, [c for c in cells if c["per_class"] == count]) for count in per_class]
    return {
        "dataset": dataset,
        "settings": list(settings),
        "classes": len(lab.dataset.classes),
        "test_images": len(lab.test),
        "classifier": config.classifier.model_dump(mode="json", exclude={"distortion", "seed"}),
        "gan": config.gan.model_dump(mode="json", exclude={"seed"}),
        "generated_per_class": generated,
        "generated_share": SHARE,
        "classifiers_each": repeats,
        "seeds": list(range(seeds)),
        "tuning_seeds": list(TUNING_SEEDS),
        "threads": 1,
        "rows": rows,
        "warnings": warnings,
        "tuning": tuning,
        "cells": cells,
        "cpu_minutes": sum(c["cpu_minutes"] for c in cells),
        "tuning_cpu_minutes": sum(t["cpu_minutes"] for t in tuning.values()),
        "load_average": max(c["load_average"] for c in cells),
    }


def _tuned(lab: Lab, count: int, out: Path, say: Say) -> Told:
    """How strongly to distort so many images of each class, and what was tried."""
    tried = []
    for strength in STRENGTHS:
        strong = lab.distorted(strength)
        mine = fingerprint(strong.config.classifier, lab.dataset.fingerprint, TUNING_SEEDS)[:8]
        path = out / f"tuning-{count}-{mine}.json"

        def measure(strong: Lab = strong) -> Told:
            found = [
                strong.accuracies(
                    strong.drawn(count, seed), strong.validation, seed=seed, repeats=1
                )
                for seed in TUNING_SEEDS
            ]
            return {
                "validation_accuracy": fmean(one["accuracy"] for one in found),
                "cpu_minutes": sum(one["cpu_minutes"] for one in found),
            }

        tried.append({"strength": strength} | _kept(path, measure))
        say(f"{count} of each class, strength {strength:g}: {tried[-1]['validation_accuracy']:.4f}")
    best = max(tried, key=lambda one: one["validation_accuracy"])
    return {
        "strength": best["strength"],
        "distortion": lab.distorted(best["strength"]).config.classifier.distortion.model_dump(),
        "tried": tried,
        "cpu_minutes": sum(one["cpu_minutes"] for one in tried),
    }


def at_the_end(count: str, tuned: Mapping[str, Any]) -> str:
    """A warning if the strongest distortion tried is the best, or nothing."""
    strongest = max(one["strength"] for one in tuned["tried"])
    if tuned["strength"] < strongest:
        return ""
    return (
        f"{count} of each class: the strongest distortion tried, {strongest:g}, is the best for "
        "classical: a stronger one might be better still, and the gain smaller"
    )


def _cell(lab: Lab, count: int, seed: int, numbers: tuple[int, int], out: Path, say: Say) -> Told:
    """One number of real images and one seed; `numbers` of generated images and of classifiers."""
    config, (each, repeats) = lab.config, numbers
    about = (config.classifier, config.gan, lab.dataset.fingerprint, repeats, each, SHARE, NOISE)
    folder = out / f"few-{count}-seed-{seed}-{fingerprint(*about)[:8]}"
    real = lab.drawn(count, seed)

    def taught(images: Images, what: str) -> Told:
        say(f"{count} of each class, seed {seed}: classifiers on {what}")
        return lab.accuracies(images, lab.test, seed=seed, repeats=repeats)

    classical = _kept(folder / "classical.json", lambda: taught(real, "real images"))
    gan = _kept(folder / "gan.json", lambda: _gan(lab, real, seed, folder, say))
    made: list[Images] = []

    def fake() -> Images:
        """Made only where something is still to be trained on them, and once."""
        if not made:
            generator = load_model(folder / "generator").module
            classes = len(lab.dataset.classes)
            made.append(
                generated_images(generator, balanced_labels(each * classes, classes), seed=seed)
            )
        return made[0]

    alone = _kept(folder / "generated.json", lambda: taught(fake(), "generated images"))
    both = _kept(folder / "both.json", lambda: taught(mixed(real, fake(), SHARE), "both"))
    parts = (classical, gan, alone, both)
    cell = {
        "per_class": count,
        "seed": seed,
        "classical": classical["accuracy"],
        "generated": alone["accuracy"],
        "both": both["accuracy"],
        "gain": both["accuracy"] - classical["accuracy"],
        "accuracies": {
            "classical": classical["accuracies"],
            "generated": alone["accuracies"],
            "both": both["accuracies"],
        },
        "gan_cpu_minutes": gan["cpu_minutes"],
        "cpu_minutes": sum(part["cpu_minutes"] for part in parts),
        "load_average": max(part["load_average"] for part in parts),
        "picture": str(folder / "real-and-generated.png"),
    }
    say(
        f"{count} of each class, seed {seed}: classical {cell['classical']:.4f}, generated "
        f"{cell['generated']:.4f}, both {cell['both']:.4f}, load {cell['load_average']:.1f}"
    )
    return cell


def _gan(lab: Lab, real: Images, seed: int, folder: Path, say: Say) -> Told:
    """Leaves the generator in `folder`, and a picture: real images left, generated ones right."""
    say(f"a GAN on {len(real)} real images, seed {seed}")
    begun = time.process_time()
    task = lab.gan(real, seed)
    spent = (time.process_time() - begun) / 60
    task.export(folder / "generator", {"real_images": len(real), "seed": seed})
    classes = len(lab.dataset.classes)
    some = generated_images(task.average, balanced_labels(SHOWN * classes, classes), seed=seed)
    shown = min(SHOWN, len(real) // classes)
    pairs = [
        part
        for k in range(classes)
        for part in (real.image_NHWC[real.label_N == k][:shown], some.image_NHWC[some.label_N == k])
    ]
    names = lab.dataset.classes
    picture = grid(torch.cat(pairs), shown + SHOWN, 2, names=names)
    write_bytes(folder / "real-and-generated.png", picture)
    return {"cpu_minutes": spent}


def _kept(path: Path, make: Callable[[], Told]) -> Told:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, make() | {"load_average": os.getloadavg()[0]})
    found: Told = read_json(path)
    return found


def summary(count: int, cells: Sequence[Mapping[str, Any]]) -> Told:
    """Of each measure the mean over seeds and its 95 % interval by Student's t, none of one seed.

    Of the gain they are of what the seeds gained, each with the same real images.
    """
    row: Told = {"per_class": count}
    for name in MEASURES:
        found = [cell[name] for cell in cells]
        row[name] = fmean(found)
        row[f"{name}_interval"] = list(of_mean(found)) if len(found) > 1 else None
    return row


def table(rows: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows for people: in per cent with 95 % intervals, the gain in points."""
    told = [(str(row["per_class"]), *(_percent(row, name) for name in MEASURES)) for row in rows]
    return ("per class", *(f"{name} +- 95 %" for name in MEASURES)), told


def _percent(row: Mapping[str, Any], name: str) -> str:
    """`95.12 +- 0.34`, or the mean alone of one seed."""
    interval = row[f"{name}_interval"]
    text = f"{100 * row[name]:{'+' if name == 'gain' else ''}.2f}"
    return text if interval is None else f"{text} +- {50 * (interval[1] - interval[0]):.2f}"
