"""How well collapse is told: on published logs, and on runs of our own that collapse or do not."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ganlib.bench.recorded import read_logs, replay
from ganlib.collapse import Null, verdicts
from ganlib.config import DetectorConfig
from ganlib.errors import Diverged
from ganlib.storage import read_json, write_json

Say = Callable[[str], None]
Told = dict[str, Any]
NO_WORSE_THAN = "FID rule"
# Seeds that thresholds were chosen on are below it.
FIRST_SHOWN = 1_000
GOOD = 0.6  # relative coverage
SPREAD = 0.3  # of the variance inside classes
LASTING = 3  # readings
RECALL, FALSE_ALARMS, DELAY = 0.95, 0.02, 0.05


def bench_logs(logs: Path, *, say: Say = lambda text: None) -> Told:
    """The detector on losses and FID of published runs, beside two simple rules.

    See `replay` for what is counted; `hours_possible` is what a stop at the best evaluation of each
    collapsed run would have saved. The label of these runs is made from their FID, so a rule that
    watches it is partly circular: losses alone are the harder question. `passed` says that the
    detector hits no less and saves no less than the better rule, without a false alarm. Raises
    DataError where the logs cannot be read.
    """
    say(f"replaying the runs in {logs}")
    runs = read_logs(logs)
    rules = replay(runs)
    ours, theirs = rules[0], next(rule for rule in rules if rule["rule"] == NO_WORSE_THAN)
    return {
        "runs": len(runs),
        "collapsed": sum(run.collapsed for run in runs),
        "hours_possible": sum(run.after_best for run in runs if run.collapsed),
        "rules": rules,
        "passed": ours["hits"] >= theirs["hits"]
        and ours["hours_saved"] >= theirs["hours_saved"]
        and not ours["false_alarms"],
    }


def bench_runs(
    out: Path,
    *,
    seeds: int,
    first: int = FIRST_SHOWN,
    recipes: Sequence[str] = ("digits", "mnist"),
    search: tuple[Path, ...] = (),
    say: Say = lambda text: None,
) -> Told:
    """Each mechanism of collapse and each sort of healthy run on each recipe, with `seeds` seeds.

    Whether a run collapsed is said by a judge that the detector does not know, on 1,000 samples at
    each reading; see `truth_of`. A run that is neither is left out and counted. `delay` is from the
    true onset to the alarm, as a share of the run. Each run is kept in `out` when it is done, and
    the same command goes on from there.
    """
    from ganlib.bench.collapses import MECHANISMS, Ground, one_run

    cells: list[Told] = []
    for recipe in recipes:
        ground: Ground | None = None
        for name in MECHANISMS:
            for seed in range(first, first + seeds):
                path = out / "runs" / f"{recipe}-{name.replace(' ', '-')}-{seed}.json"
                if not path.exists():
                    ground = ground or Ground.of(recipe, out, search)
                    try:
                        cell = one_run(ground, recipe, name, seed, say)
                    except Diverged as error:
                        cell = {"recipe": recipe, "mechanism": name, "diverged": error.message}
                    write_json(path, cell)
                cells.append(read_json(path))
    return account(cells) | {"first_seed": first, "seeds": seeds, "recipes": list(recipes)}


def account(cells: Sequence[Told], config: DetectorConfig | None = None) -> Told:
    """Recall, false alarms with exact intervals, and delay of the detector replayed on `cells`."""
    whole = [cell for cell in cells if "series" in cell]
    became = {recipe: _becomes_good(whole, recipe) for recipe in {c["recipe"] for c in whole}}
    rows = [_row(cell, became[cell["recipe"]], config) for cell in whole]
    collapsed = [row for row in rows if row["truth"] == "collapsed"]
    healthy = [row for row in rows if row["truth"] == "healthy"]
    told = [row for row in collapsed if row["alarm"] is not None]
    wrong = [row for row in healthy if row["alarm"] is not None]
    recall = _share(len(told), len(collapsed))
    false = _share(len(wrong), len(healthy))
    delay = median([row["delay"] for row in told]) if told else math.nan
    return {
        "recall": recall["share"],
        "recall_interval": recall["interval"],
        "false_alarm_rate": false["share"],
        "false_alarm_interval": false["interval"],
        "delay": delay,
        "collapsed": len(collapsed),
        "healthy": len(healthy),
        "left_out": len(rows) - len(collapsed) - len(healthy),
        "diverged": len(cells) - len(whole),
        "reading_share": sum(c["reading_s"] for c in whole)
        / max(sum(c["training_s"] for c in whole), 1e-9),
        "target": {"recall": RECALL, "false_alarm_rate": FALSE_ALARMS, "delay": DELAY},
        "passed": bool(recall["share"] >= RECALL and false["share"] <= FALSE_ALARMS)
        and delay <= DELAY,
        "rows": rows,
        "load_average": os.getloadavg()[0],
    }


def _row(cell: Told, became: int, config: DetectorConfig | None) -> Told:
    null = Null(cell["null"]["centre"], cell["null"]["spread"])
    series = [(int(clock), values) for clock, values in cell["series"]]
    alarm = None
    for (clock, _), verdict in zip(series, verdicts(series, null, config), strict=True):
        if verdict.state == "collapsed":
            alarm = (clock, verdict)
            break
    truth, onset = truth_of(cell, became)
    late = 0 if alarm is None or onset is None else max(0, alarm[0] - onset)
    return {
        "recipe": cell["recipe"],
        "mechanism": cell["mechanism"],
        "seed": cell["seed"],
        "truth": truth,
        "onset": onset,
        "alarm": None if alarm is None else alarm[0],
        "signals": [] if alarm is None else list(alarm[1].signals),
        "delay": late / cell["images"],
        "coverage": cell["truth"][-1]["coverage"],
    }


def truth_of(cell: Told, became: int) -> tuple[str, int | None]:
    """`collapsed` with its onset, `healthy`, or `neither`.

    A reading is good when the judge finds all classes, at least 0.6 of the coverage of real images
    and 0.3 of their variance inside classes: one image of each class may well cover the half. A run
    made to collapse has done so when three readings in a row are not good, from where healthy runs
    of its recipe are good (`became`) or later. A healthy run is good from there on.
    """
    clocks = [int(clock) for clock, _ in cell["series"]]
    bad = [
        clock >= became and not _good(judged)
        for clock, judged in zip(clocks, cell["truth"], strict=True)
    ]
    for n in range(len(bad) - LASTING + 1):
        if all(bad[n : n + LASTING]):
            return ("collapsed", clocks[n]) if cell["collapses"] else ("neither", None)
    return ("neither", None) if cell["collapses"] or any(bad[-LASTING:]) else ("healthy", None)


def _good(judged: Told) -> bool:
    varied = judged["spread"] >= SPREAD
    return bool(judged["coverage"] >= GOOD and judged["classes"] >= 1 and varied)


def _becomes_good(cells: Iterable[Told], recipe: str) -> int:
    """The clock at which nine in ten healthy runs of a recipe have become good; 0 without any."""
    found = []
    for cell in cells:
        if cell["recipe"] == recipe and not cell["collapses"]:
            pairs = zip(cell["series"], cell["truth"], strict=True)
            found.append(next((int(at[0]) for at, judged in pairs if _good(judged)), math.inf))
    known = sorted(clock for clock in found if clock < math.inf)
    return int(known[min(len(known) - 1, math.ceil(0.9 * len(known)) - 1)]) if known else 0


def _share(count: int, total: int) -> Told:
    """With its exact 95 % interval (Clopper and Pearson 1934), by bisection."""
    if not total:
        return {"share": math.nan, "interval": [0.0, 1.0]}
    low = 0.0 if count == 0 else _root(lambda p: 1 - _below(count - 1, total, p), 0.025)
    high = 1.0 if count == total else _root(lambda p: 1 - _below(count, total, p), 0.975)
    return {"share": count / total, "interval": [low, high]}


def _below(count: int, total: int, p: float) -> float:
    """The probability of at most `count` of `total`."""
    return math.fsum(math.comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(count + 1))


def _root(rising: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2
