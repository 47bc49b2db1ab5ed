"""GANs of many kinds, each trained for so many CPU-minutes and then judged as any other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ganlib.bench.allowance import Allowance
from ganlib.bench.panel import Panel
from ganlib.config import PipelineConfig, fingerprint, load_recipe, overlay, parse_assignments
from ganlib.data import prepare
from ganlib.models import load_model
from ganlib.stages.stamp import source_digest
from ganlib.storage import read_json, write_bytes, write_json
from ganlib.training import RunSpec
from ganlib.training.execute import execute

DATASETS = ("mnist", "fashion-mnist")
RECIPES = (
    "classic-mnist-gan",
    "mnist-dcgan",
    "mnist-lsgan",
    "mnist-wgan-gp",
    "mnist-sn-resnet",
    "mnist-r3gan",
)
LOOK = 1_000

# What a cell's figures depend on beside its settings.
CODE = ("augmentation", "evaluation", "losses", "metrics", "models", "training")
# What other images than a recipe's own ask of its GAN, before what is set by --set.
CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    # Miyato et al. 2018 take five; with one a class of clothes became little more than one image.
    ("fashion-mnist", "mnist-sn-resnet"): {"gan.discriminator.steps": 2},
}
FIGURES = (
    "scaled_distance",
    "coverage",
    "recall",
    "precision",
    "intra_class_coverage",
    "intra_class_coverage_min",
    "classes_present",
    "label_agreement",
)

Say = Callable[[str], None]
Told = dict[str, Any]


def bench_gans(
    out: Path,
    *,
    recipes: Sequence[str] = RECIPES,
    datasets: Sequence[str] = DATASETS,
    seed: int = 0,
    minutes: float = 10.0,
    settings: Iterable[str] = (),
    search: tuple[Path, ...] = (),
    say: Say = lambda text: None,
) -> Told:
    """The GAN of each recipe on each dataset: how well it covers the test images, and its speed.

    A recipe gives its GAN alone; data, judge and evaluation are those of the recipe that has the
    dataset's name, so that all of a dataset are judged alike. Training is ganlib's own on one
    thread and ends with the recipe's budget of images, or before another 1,000 images would make
    it more than `minutes` of processor time, which counts everything but judging. A learning rate
    that follows the budget is not told of the earlier end. `label_agreement` is none where no class
    can be asked for, and intra-class coverage is then of the classes as judged.

    `passed` says that every class is present in every cell. Each cell is kept in `out` with its
    pictures as soon as it is judged, and one that was cut goes on from its snapshot. Raises
    NotFound for an unknown recipe, ConfigError for one that does not go with the images, Diverged,
    and Collapsed where gan.collapse says stop.
    """
    changes = parse_assignments(settings)
    panels: dict[str, Panel] = {}
    cells = []
    asked = [(dataset, recipe) for dataset in datasets for recipe in recipes]
    configs = [_config(dataset, recipe, seed, changes) for dataset, recipe in asked]
    for (dataset, recipe), config in zip(asked, configs, strict=True):
        if dataset not in panels:
            prepared = prepare(config.data, out / "data", search=search)
            panels[dataset] = Panel(config, prepared, out / dataset, say)
        cells.append(_cell(panels[dataset], recipe, config, minutes, out / dataset, say))
    return {
        "seed": seed,
        "settings": list(settings),
        "cpu_minutes": minutes,
        "threads": 1,
        "evaluation_seeds": {name: panel.config.evaluation.seed for name, panel in panels.items()},
        "judges": {name: _judged(panel, out / name) for name, panel in panels.items()},
        "cells": cells,
        "passed": all(cell["classes_present"] == len(cell["shares"]) for cell in cells),
        "load_average": max(cell["load_average"] for cell in cells),
    }


def _config(dataset: str, recipe: str, seed: int, changes: Mapping[str, Any]) -> PipelineConfig:
    config = load_recipe(dataset).model_copy(update={"gan": load_recipe(recipe).gan})
    mine = {"gan.seed": seed} | CHANGES.get((dataset, recipe), {})
    return overlay(overlay(config, mine), changes)


def _cell(
    panel: Panel, recipe: str, config: PipelineConfig, minutes: float, out: Path, say: Say
) -> Told:
    code = source_digest(CODE)
    told_by = (panel.name, config.evaluation, code)
    mine = fingerprint(config.gan, panel.dataset.fingerprint, minutes, *told_by)[:8]
    folder = out / f"{recipe}-seed-{config.gan.seed}-{mine}"

    def measure() -> Told:
        say(f"{out.name}, {recipe}: training")
        trained = _trained(panel, config, minutes, folder)
        generator = load_model(folder / "run" / "model").module
        picture = folder / "grid.png"
        write_bytes(picture, panel.grid(generator))
        found = panel.table(generator)
        asked = not panel.heedless(generator)
        figures = {name: found[name].value for name in FIGURES}
        return {
            "dataset": out.name,
            "recipe": recipe,
            "changed": CHANGES.get((out.name, recipe), {}),
            "code": code,
            "seed": config.gan.seed,
            **trained,
            **figures,
            "label_agreement": figures["label_agreement"] if asked else None,
            "shares": dict(zip(panel.dataset.classes, found.share_K, strict=True)),
            "rows": [asdict(row) for row in found.rows],
            "gan": config.gan.model_dump(mode="json"),
        }

    cell = _kept(folder / "cell.json", measure) | {"grid": str(folder / "grid.png")}
    say(
        f"{cell['dataset']}, {recipe}: {cell['images']:,} images in {cell['cpu_seconds']:.0f} "
        f"CPU-seconds, distance {cell['scaled_distance']:.4f}, coverage {cell['coverage']:.3f}, "
        f"classes {cell['classes_present']:g}, load {cell['load_average']:.1f}"
    )
    return cell


def _trained(panel: Panel, config: PipelineConfig, minutes: float, folder: Path) -> Told:
    """Leaves the generator in `folder`/run/model."""
    cadence = config.gan.cadence.model_copy(update={"report": LOOK, "evaluate": LOOK})
    spec = RunSpec.of(
        config.gan.model_copy(update={"cadence": cadence}),
        dataset_folder=str(panel.dataset.folder),
        dataset_fingerprint=panel.dataset.fingerprint,
        run_folder=str((folder / "run").absolute()),
    )
    allowance = Allowance(folder / "run", 60 * minutes)
    outcome = execute(
        spec,
        on_moment=allowance.moment,
        on_reading=lambda clock, readings: allowance.used_up(clock),
    )
    spent = allowance.at[outcome.clock]
    return {
        "images": outcome.clock,
        "cpu_seconds": spent,
        "images_per_cpu_second": outcome.clock / spent,
        "ended_by": "cpu_minutes" if outcome.reason == "stopped" else outcome.reason,
        "collapse": outcome.collapse,
    }


def _judged(panel: Panel, out: Path) -> Told:
    return _kept(
        out / f"{panel.name}.json",
        lambda: {"accuracy": panel.accuracy(), "seed": panel.config.classifier.seed},
    )


def _kept(path: Path, make: Callable[[], Told]) -> Told:
    if not path.exists():
        write_json(path, make() | {"load_average": os.getloadavg()[0]})
    found: Told = read_json(path)
    return found


def table(cells: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows for people; a dash for what has no value."""
    shown = {
        "distance": ("scaled_distance", ".4f"),
        "coverage": ("coverage", ".3f"),
        "recall": ("recall", ".3f"),
        "intra-class": ("intra_class_coverage", ".3f"),
        "least": ("intra_class_coverage_min", ".3f"),
        "classes": ("classes_present", "g"),
        "agreement": ("label_agreement", ".3f"),
        "images": ("images", ",d"),
        "CPU-s": ("cpu_seconds", ".0f"),
        "images/s": ("images_per_cpu_second", ",.0f"),
    }

    def cells_of(cell: Mapping[str, Any]) -> tuple[str, ...]:
        values = ((cell[name], form) for name, form in shown.values())
        return tuple("-" if value is None else format(value, form) for value, form in values)

    return (
        ("dataset", "recipe", *shown),
        [(cell["dataset"], _told(cell), *cells_of(cell)) for cell in cells],
    )


def _told(cell: Mapping[str, Any]) -> str:
    """The recipe, and what it is not taken as it stands in."""
    changes = ", ".join(f"{path}={value}" for path, value in cell["changed"].items())
    return f"{cell['recipe']} ({changes})" if changes else str(cell["recipe"])
