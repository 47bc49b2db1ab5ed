"""Whether a rescue saves runs that collapse, beside what else one could do, and what it costs.

Every cell is one run with all that is done about it, kept when it is done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ganlib.bench.collapses import Ground
from ganlib.bench.exact import share
from ganlib.bench.salvage import ARMS, CAUSES, RECIPES, Cell, health, salvage
from ganlib.stages.stamp import source_digest
from ganlib.storage import read_json, write_json

Say = Callable[[str], None]
Told = dict[str, Any]
# Seeds that policies and causes were chosen on are below it.
FIRST_SHOWN = 1_000
TARGET = 0.9
# What a cell depends on: with other code it is another one.
CODE = ("bench/collapses.py", "bench/mechanisms.py", "bench/salvage.py", "collapse", "training")


def bench_rescue(
    out: Path,
    *,
    seeds: int,
    first: int = FIRST_SHOWN,
    recipes: Sequence[str] = tuple(RECIPES),
    causes: Sequence[str] = tuple(CAUSES),
    arms: Sequence[str] = ARMS,
    search: tuple[Path, ...] = (),
    say: Say = lambda text: None,
) -> Told:
    """A row for each cause, seed and arm, and what each arm comes to over all of them.

    `alone` is the run that nobody helps; only where it does not end healthy there is something to
    save. A judge whom the detector does not know says so, on 1,000 samples; see `health`. Each cell
    is kept in `out` when it is done, and the same command goes on from there, also in a cell, as
    long as the code is the same.
    `passed` says that rescue saves nine in ten, and is None where it was not tried or nothing was
    there to be saved.
    """
    rows: list[Cell] = []
    cells = out / f"cells-{source_digest(CODE)}"
    for recipe in dict.fromkeys(recipes):
        ground: Ground | None = None
        for seed in range(first, first + seeds):
            for cause in dict.fromkeys(causes):
                for arm in dict.fromkeys(("alone", *arms)):
                    folder = cells / f"{recipe}-{cause.replace(' ', '-')}-{seed}" / arm
                    if not (folder / "cell.json").exists():
                        ground = ground or Ground.of(recipe, out, search)
                        begun = time.process_time()
                        cell = salvage(ground, recipe, cause, seed, arm, folder)
                        cell |= {"cpu_s": round(time.process_time() - begun, 1)}
                        write_json(folder / "cell.json", cell)
                        say(f"{recipe}, {cause}, seed {seed}, {arm}: {cell['ended']}")
                    rows.append(read_json(folder / "cell.json"))
    told = account(rows)
    saved = told["arms"].get("rescue", {}).get("share")
    return told | {
        "first_seed": first,
        "seeds": seeds,
        "recipes": list(recipes),
        "causes": list(causes),
        "target": TARGET,
        "passed": None if saved is None else saved >= TARGET,
        "rows": rows,
        "load_average": os.getloadavg()[0],
    }


def account(rows: Iterable[Cell]) -> Told:
    """Of the runs that do not end healthy alone: what each arm saves, and for how many images.

    `images` is the mean over runs that it saved, none without any, `budgets` the same in budgets of
    one run; `seen` is the share of these runs that the detector told. With exact 95 % intervals.
    """
    kept = list(rows)
    lost = {_run(row) for row in kept if row["arm"] == "alone" and not row["healthy"]}
    alone = [row for row in kept if row["arm"] == "alone"]
    arms: Told = {}
    for arm in dict.fromkeys(row["arm"] for row in kept):
        own = [row for row in kept if row["arm"] == arm and _run(row) in lost]
        saved = [row for row in own if row["healthy"]]
        arms[arm] = share(len(saved), len(own)) | {
            "saved": len(saved),
            "runs": len(own),
            "images": _mean([row["images"] for row in saved]),
            "budgets": _mean([row["images"] / row["budget"] for row in saved]),
        }
    seen = [row for row in alone if _run(row) in lost and row["seen"] is not None]
    return {
        "runs": len(alone),
        "collapsing": len(lost),
        "seen": share(len(seen), len(lost)),
        "arms": arms,
        "health": health.__doc__,
    }


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _run(row: Cell) -> tuple[str, str, int]:
    return row["recipe"], row["cause"], row["seed"]
