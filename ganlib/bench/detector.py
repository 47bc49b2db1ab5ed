"""How well collapse is told: on published logs, and on runs of our own that collapse or do not."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from ganlib.bench.exact import share
from ganlib.bench.fitting import (
    DELAY,
    FALSE_ALARMS,
    RECALL,
    Known,
    Replays,
    Told,
    thresholds,
)
from ganlib.bench.mechanisms import file_of
from ganlib.bench.recorded import read_logs, replay
from ganlib.bench.truth import Cell, becomes_good, marked, truth_of
from ganlib.config import DetectorConfig
from ganlib.errors import ConfigError
from ganlib.stages.stamp import source_digest
from ganlib.storage import read_json

Say = Callable[[str], None]
Figures = dict[str, Any]
NO_WORSE_THAN = "FID rule"
# Seeds that anything was chosen on are below it.
FIRST_SHOWN = 4_000
ENOUGH = 100  # runs of either sort
# What a run is made and read by; that it is judged and told by replays on what was read.
CODE = (
    "bench/collapses.py",
    "bench/mechanisms.py",
    "collapse/monitor.py",
    "collapse/null.py",
    "collapse/signals.py",
)


def bench_logs(logs: Path, *, say: Say = lambda text: None) -> Figures:
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
    datasets: Sequence[str] = (),
    minutes: float = math.inf,
    fit: Path | None = None,
    search: tuple[Path, ...] = (),
    say: Say = lambda text: None,
) -> Figures:
    """Each mechanism of collapse and each sort of healthy run on each dataset, with `seeds` seeds.

    Whether a run collapsed is said by a judge that the detector does not know; see `truth_of`. All
    datasets, where none are named. Each run is kept in `out` when it is done, and the same command
    goes on from there. After `minutes` no other run is begun, and those there are are counted.
    Thresholds are fitted on these runs, or on those that another call left in `fit`; raises
    ConfigError where there are none, or of a seed that is asked about.
    """
    from ganlib.bench.collapses import SCENES, Ground, one_run
    from ganlib.bench.mechanisms import MECHANISMS

    names, begun = tuple(dict.fromkeys(datasets)) or tuple(SCENES), time.monotonic()
    ground = cache(lambda dataset: Ground.of(dataset, out, search))
    runs = f"runs-{source_digest(CODE)}"
    theirs = _kept(fit / runs, range(first, first + seeds)) if fit else []
    cells: list[Cell] = []
    wanted = list(product(range(first, first + seeds), names, MECHANISMS))
    for seed, dataset, name in wanted:
        folder = out / runs / dataset
        if (kept := folder / file_of(name, seed) / "cell.json").exists():
            cells.append(read_json(kept))
        elif time.monotonic() - begun < 60 * minutes:
            cells.append(one_run(ground(dataset), dataset, name, seed, folder))
            say(_line(cells[-1]))
    told = account(cells, theirs)
    told["passed"] = told["passed"] and len(cells) == len(wanted)
    asked = {"first_seed": first, "seeds": seeds, "datasets": list(names), "asked": len(wanted)}
    return told | asked


def _line(cell: Cell) -> str:
    what = f"{cell['dataset']}, {cell['mechanism']}, seed {cell['seed']}"
    if "series" not in cell:
        return f"{what}: diverged, {cell['diverged']}"
    last = cell["truth"][-1]["coverage"]
    return f"{what}: {cell['cpu_s']:.1f} s, {last:.2f} of the coverage of real images"


def _kept(folder: Path, asked: range) -> list[Cell]:
    cells: list[Cell] = [read_json(path) for path in sorted(folder.glob("*/*/cell.json"))]
    shared = sorted({cell["seed"] for cell in cells} & set(asked))
    if cells and not shared:
        return cells
    raise ConfigError(
        f"{folder} holds runs of seed {shared[0]}, which is asked about"
        if shared
        else f"{folder} holds no runs of this version",
        where="--fit",
        hint="ganlib bench detector --seeds 4 --first-seed 3000 --out DIR makes some",
    )


def account(cells: Sequence[Cell], others: Sequence[Cell] = ()) -> Figures:
    """Recall, false alarms with exact intervals, and delay of the detector replayed on `cells`.

    What counts are thresholds fitted without the run's own mechanism and dataset, on `others` where
    there are some; beside them `default`, those of DetectorConfig, and `chosen`, those fitted to
    all. `delay` is the median over hits, as a share of what a run has of its own. `passed` looks at
    the targets and at 100 runs of either sort.
    """
    whole = [cell for cell in cells if "series" in cell]
    runs = _known(whole)
    judged = [run for run in runs if run.truth != "neither"]
    replays = Replays.of(judged)
    fitted_on = _judged(others) if others else replays
    choices, chosen = replays.left_out(fitted_on), fitted_on.fitted()
    said = [replays.told[choice][n] for n, choice in enumerate(choices)]
    found = figures(judged, said)
    enough = min(found["collapsed"], found["healthy"]) >= ENOUGH
    return {
        **found,
        "left_out": len(runs) - len(judged),
        "diverged": len(cells) - len(whole),
        "fitted_on": {
            "runs": len(fitted_on.runs),
            "seeds": sorted({run.cell["seed"] for run in fitted_on.runs}),
        },
        "by_mechanism": _groups(judged, said, "mechanism"),
        "by_dataset": _groups(judged, said, "dataset"),
        "default": figures(judged, replays.told[0]),
        "chosen": thresholds(replays.choices[chosen]) | figures(judged, replays.told[chosen]),
        "cpu_s": sum(cell["cpu_s"] for cell in whole),
        "longest_cpu_s": max((cell["cpu_s"] for cell in whole), default=0.0),
        "target": {
            "runs": ENOUGH,
            "recall": RECALL,
            "false_alarm_rate": FALSE_ALARMS,
            "delay": DELAY,
        },
        "passed": enough
        and found["recall"] >= RECALL
        and found["false_alarm_rate"] <= FALSE_ALARMS
        and found["delay"] <= DELAY,
        "rows": [
            *(
                _row(run, told, replays.choices[choice])
                for run, told, choice in zip(judged, said, choices, strict=True)
            ),
            *(_row(run, None, None) for run in runs if run.truth == "neither"),
        ],
        "load_average": max((cell["load_average"] for cell in whole), default=os.getloadavg()[0]),
    }


def _judged(cells: Sequence[Cell]) -> Replays:
    runs = _known([cell for cell in cells if "series" in cell])
    return Replays.of([run for run in runs if run.truth != "neither"])


def _known(cells: Sequence[Cell]) -> list[Known]:
    """What was true of each; of one that goes on from a run that is not healthy nothing is."""
    found = []
    for alike in dict.fromkeys(_alike(cell) for cell in cells):
        mine = [cell for cell in cells if _alike(cell) == alike]
        mark = marked(mine)
        became = becomes_good(mine, mark)
        truths = [truth_of(cell, mark, became) for cell in mine]
        unsound = {
            cell["seed"]
            for cell, (truth, _) in zip(mine, truths, strict=True)
            if cell["mechanism"] == cell["base"] and truth != "healthy"
        }
        for cell, told in zip(mine, truths, strict=True):
            doubtful = cell["start"] and cell["seed"] in unsound
            found.append(Known(cell, *(("neither", None) if doubtful else told)))
    return found


def _alike(cell: Cell) -> tuple[str, str]:
    """Where the same healthy runs say what can be had: without classes that is less."""
    return cell["dataset"], cell["base"]


def figures(runs: Sequence[Known], said: Sequence[Told]) -> Figures:
    """`early` alarms, before there was any cause, count as misses."""
    pairs = list(zip(runs, said, strict=True))
    collapsed = [told for run, told in pairs if run.truth == "collapsed"]
    healthy = [told for run, told in pairs if run.truth == "healthy"]
    hits = [told for told in collapsed if told.hit]
    recall = share(len(hits), len(collapsed))
    false = share(sum(told.alarm is not None for told in healthy), len(healthy))
    return {
        "recall": recall["share"],
        "recall_interval": recall["interval"],
        "false_alarm_rate": false["share"],
        "false_alarm_interval": false["interval"],
        "delay": median([told.delay for told in hits]) if hits else None,
        "early": sum(told.early for told in collapsed),
        "collapsed": len(collapsed),
        "healthy": len(healthy),
    }


def _groups(runs: Sequence[Known], said: Sequence[Told], key: str) -> dict[str, Figures]:
    pairs = list(zip(runs, said, strict=True))
    found = {}
    for name in dict.fromkeys(run.cell[key] for run in runs):
        mine = [(run, told) for run, told in pairs if run.cell[key] == name]
        found[name] = figures([run for run, _ in mine], [told for _, told in mine])
    return found


def _row(run: Known, told: Told | None, config: DetectorConfig | None) -> Figures:
    cell = run.cell
    return {
        "dataset": cell["dataset"],
        "mechanism": cell["mechanism"],
        "seed": cell["seed"],
        "truth": run.truth,
        "onset": run.onset,
        "alarm": told and told.alarm,
        "signals": list(told.signals) if told else [],
        "early": told and told.early,
        "delay": told and told.delay,
        "thresholds": config and thresholds(config),
        "coverage": cell["truth"][-1]["coverage"],
        "cpu_s": cell["cpu_s"],
    }
