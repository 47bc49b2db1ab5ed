"""How much of what is planted into real photographs `ganlib data check` finds."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganlib import api
from ganlib.bench.planted import Planted, plant
from ganlib.config import fingerprint, load, overlay, parse_assignments
from ganlib.data.quality.copies import groups
from ganlib.data.sources.digits import DigitsSource
from ganlib.stages.quality import Features
from ganlib.stages.stamp import source_digest
from ganlib.storage import read_json, write_json

COPIES = ("exact_duplicate", "near_duplicate", "mirrored_duplicate")
CODE = ("bench/check.py", "bench/planted.py", "data", "stages/findings.py", "stages/quality.py")
TARGETS = {"copies": (0.95, 0.95), "leaks": (0.95, 0.95)}  # recall, precision


def bench_check(
    out: Path,
    *,
    seeds: Sequence[int] = (101, 102, 103),
    each: int = 40,
    settings: Iterable[str] = (),
    features: Features = "auto",
    search: tuple[Path, ...] = (),
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Check the flower photographs as they are, then with faults planted by each seed.

    Without them in one of `search`, enlarged digits. Nobody knows which of the copies, leaks and
    outliers that are found in the untouched set are ones. `precision`, which `passed` looks at, is
    of the other findings alone; with `precision_own_right` and `precision_own_wrong` all of them
    count as right, or as wrong: however many a check invents there, the last one tells. A label
    error counts as right only if it was planted, so the labels that were wrong before make that
    precision a lower bound, too. What is done is kept in `out`, and the same call goes on from
    there; what a network saw of an image is not looked at again, so only the first takes long.
    """
    out.mkdir(parents=True, exist_ok=True)
    title, clean = _pictures(out / "clean", search)
    changes = parse_assignments(settings)
    asked = fingerprint("bench check", source_digest(CODE), title, each, changes, features)

    def once(what: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        path = out / f"{what}-{asked}.json"
        if not path.exists():
            write_json(path, make())
        done: dict[str, Any] = read_json(path)
        return done

    say(f"checking {title} as it is")
    before = once("untouched", lambda: _checked(clean, out / "home", changes, features))
    cells = []
    for seed in seeds:
        say(f"planting with seed {seed}")

        def planting(seed: int = seed) -> dict[str, Any]:
            folder = out / f"seed-{seed}"
            if folder.exists():
                shutil.rmtree(folder)
            shutil.copytree(clean, folder)
            planted = plant(folder, seed, each=each)
            found = _checked(folder, out / "home", changes, features)
            told = scores(planted, before["rows"], found["rows"])
            return {"seed": seed, "cpu_seconds": found["cpu_seconds"], **told}

        told = once(f"seed-{seed}", planting)
        cells.append(told)
        say(", ".join(f"{name} {_pair(told[name])}" for name in _PARTS))
    mean = {name: _mean([cell[name] for cell in cells]) for name in _PARTS}
    passed = all(
        mean[name]["recall"] >= recall and (mean[name]["precision"] or 0.0) >= precision
        for name, (recall, precision) in TARGETS.items()
    )
    return {
        "pictures": title,
        "features": features,
        "images": before["images"],
        "seeds": list(seeds),
        "planted_of_each": each,
        "untouched": {name: before[name] for name in ("findings", "accuracy", "judged_by")},
        "mean": mean,
        **{name: _pair(mean[name]) for name in _PARTS},
        "cells": cells,
        "targets": {name: list(pair) for name, pair in TARGETS.items()},
        "passed": passed,
        "load_average": os.getloadavg()[0],
    }


_PARTS = ("copies", "leaks", "label_errors", "outliers")
_PRECISIONS = ("precision", "precision_own_right", "precision_own_wrong")


def _pair(told: dict[str, Any]) -> str:
    def shown(name: str) -> str:
        return "none reported" if told[name] is None else f"{told[name]:.3f}"

    text = f"recall {told['recall']:.3f}, precision {shown('precision')}"
    if "precision_own_wrong" not in told:
        return text
    right, wrong = shown("precision_own_right"), shown("precision_own_wrong")
    return f"{text} ({right} with the untouched set's own as right, {wrong} as wrong)"


def _mean(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"recall": float(np.mean([one["recall"] for one in told]))}
    for name in _PRECISIONS:
        if name in told[0]:
            known = [one[name] for one in told if one[name] is not None]
            found[name] = float(np.mean(known)) if known else None
    return found


def _checked(
    folder: Path, home: Path, changes: dict[str, Any], features: Features
) -> dict[str, Any]:
    import pandas as pd

    config = overlay(load(str(folder)), changes)
    begun = time.process_time()
    made = api.check_data(config, features=features, home=home, fresh=True).value
    frame = pd.read_parquet(made.parquet)
    return {
        "rows": frame.to_dict(orient="records"),
        "images": made.images,
        "findings": made.findings,
        "accuracy": made.accuracy,
        "judged_by": made.features,
        "cpu_seconds": time.process_time() - begun,
    }


Row = dict[str, Any]


def scores(planted: Planted, before: Sequence[Row], found: Sequence[Row]) -> dict[str, Any]:
    """Recall and precision of each part, from the rows of two tables of findings.

    A pair is right if what was planted joins its two files, a leak's and an own pair's copies
    included, the latter not where own findings count as wrong; recall asks for each planted copy
    to be named in some row.
    """
    found = [
        row | {name: planted.moved.get(row[name], row[name]) for name in ("file", "other_file")}
        if row["finding"] in (*COPIES, "leakage")
        else row
        for row in found
    ]
    own = {_files(row) for row in before if row["finding"] in COPIES}
    joined = _joined([*planted.pairs(), *(tuple(sorted(pair)) for pair in own)])
    by_planting = _joined(planted.pairs())
    mine = {file for pair in planted.pairs() for file in pair}
    reported = [row for row in found if row["finding"] in COPIES]
    copies = [row for row in reported if _files(row) not in own]
    named = {file for row in copies if _right(row, joined) for file in _files(row)}
    kinds = {
        kind: sum(copy in named for _, copy in pairs) / max(1, len(pairs))
        for kind, pairs in planted.copies.items()
    }
    every = [copy for pairs in planted.copies.values() for _, copy in pairs]
    leaks = [row for row in found if row["finding"] == "leakage" and _files(row) & mine]
    others = [row for row in found if row["finding"] == "leakage" and not _files(row) & mine]
    strays = [row for row in others if _files(row) not in own]
    leaked = {file for row in leaks if _right(row, joined) for file in _files(row)}
    return {
        "copies": {
            **_rates(
                sum(c in named for c in every),
                len(every),
                copies,
                joined,
                by_planting,
                len(reported) - len(copies),
            ),
            "recall_by_kind": kinds,
        },
        "leaks": _rates(
            sum(file in leaked and copy in leaked for file, copy in planted.leaks),
            len(planted.leaks),
            leaks + strays,
            joined,
            by_planting,
            len(others) - len(strays),
        ),
        "label_errors": _labels(planted, found),
        "outliers": _outliers(planted, before, found),
    }


def _files(row: Row) -> frozenset[str]:
    return frozenset((row["file"], row["other_file"]))


def _joined(pairs: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """The number of its group for each file that pairs join to others."""
    import torch

    names = sorted({file for pair in pairs for file in pair})
    number = {name: place for place, name in enumerate(names)}
    linked = torch.tensor([[number[a], number[b]] for a, b in pairs]).reshape(-1, 2)
    found = enumerate(groups(linked))
    return {names[place]: group for group, places in found for place in places}


def _right(row: Row, joined: dict[str, int]) -> bool:
    one, two = (joined.get(row[name]) for name in ("file", "other_file"))
    return one is not None and one == two


def _rates(
    hit: int,
    planted: int,
    rows: Sequence[Row],
    joined: dict[str, int],
    by_planting: dict[str, int],
    own: int,
) -> dict[str, Any]:
    right = sum(_right(row, joined) for row in rows)
    surely = sum(_right(row, by_planting) for row in rows)
    return {
        "planted": planted,
        "found": hit,
        "recall": hit / max(1, planted),
        **_precisions(right, surely, len(rows), own),
        "wrong": [[row["file"], row["other_file"]] for row in rows if not _right(row, joined)],
    }


def _precisions(right: int, surely: int, reported: int, own: int) -> dict[str, Any]:
    """Of `reported` findings `right` are, and `surely` where `own` further ones are all wrong."""
    every = reported + own
    return {
        "reported": reported,
        "own": own,
        "precision": right / reported if reported else None,
        "precision_own_right": (right + own) / every if every else None,
        "precision_own_wrong": surely / every if every else None,
    }


def _labels(planted: Planted, found: Sequence[Row]) -> dict[str, Any]:
    rows = [row for row in found if row["finding"] == "label_error"]
    hit = [row for row in rows if row["file"] in planted.wrong]
    named = sum(f"looks like {planted.wrong[row['file']]}:" in row["suggestion"] for row in hit)
    first = rows[:50]
    return {
        "planted": len(planted.wrong),
        "found": len(hit),
        "recall": len(hit) / max(1, len(planted.wrong)),
        "reported": len(rows),
        "precision": len(hit) / len(rows) if rows else None,
        "precision_of_first_50": sum(row["file"] in planted.wrong for row in first)
        / max(1, len(first)),
        "right_class_named": named / max(1, len(hit)),
    }


def _outliers(planted: Planted, before: Sequence[Row], found: Sequence[Row]) -> dict[str, Any]:
    own = {row["file"] for row in before if row["finding"] in ("outlier", "blank")}
    reported = [row for row in found if row["finding"] in ("outlier", "blank")]
    rows = [row for row in reported if row["file"] not in own]
    odd = set(planted.outliers)
    hit = {row["file"] for row in rows} & odd
    return {
        "planted": len(odd),
        "found": len(hit),
        "recall": len(hit) / max(1, len(odd)),
        **_precisions(len(hit), len(hit), len(rows), len(reported) - len(rows)),
    }


def _pictures(folder: Path, search: tuple[Path, ...]) -> tuple[str, Path]:
    """The folder with train and test below it, written once."""
    for root in search:
        archive = root / "flowers5" / "flowers5_128.zip"
        if archive.is_file():
            if not (folder / "flowers5" / "test").is_dir():
                with zipfile.ZipFile(archive) as packed:
                    packed.extractall(folder)
            return "flowers5", folder / "flowers5"
    if not (folder / "test").is_dir():
        write_digits(folder)
    return "digits", folder


def write_digits(folder: Path, *, count: int = 1797, side: int = 32) -> None:
    """The first `count` of scikit-learn's digits, enlarged, every fifth one for test."""
    source = DigitsSource()
    for row in range(count):
        split = "test" if row % 5 == 0 else "train"
        below = folder / split / f"digit-{source.label_N[row]}"
        below.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(source.image_NHWC[row, :, :, 0])
        image.resize((side, side), Image.Resampling.BICUBIC).save(below / f"{row:04d}.png")
