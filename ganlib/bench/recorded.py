"""Published training runs, their losses and FID: what a detector would have said, and when."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ganlib.collapse import verdicts
from ganlib.collapse.null import NORMAL
from ganlib.errors import DataError

FILES = ("runs", "fid", "losses")
HINT = f"--logs names the folder with {', '.join(f'{name}.csv.gz' for name in FILES)}"


@dataclass(frozen=True)
class Row:
    """One line of a log: a step, the hours until then, and what was read."""

    step: int
    hours: float
    values: dict[str, float]


@dataclass(frozen=True)
class Recorded:
    """`rows` by step; `best` is the step of the lowest FID; only after it is an alarm a hit."""

    name: str
    rows: tuple[Row, ...]
    collapsed: bool
    best: int
    hours: float
    after_best: float


Rule = Callable[[Recorded], Row | None]
"""The row at which it would stop the run, if any."""


def read_logs(folder: Path) -> list[Recorded]:
    """Of `runs.csv.gz`, `fid.csv.gz` and `losses.csv.gz`.

    Raises DataError naming the file that is not there or cannot be read, and what lacks in them.
    """
    tables = {name: _table(folder / f"{name}.csv.gz") for name in FILES}
    try:
        return _recorded(tables)
    except KeyError as error:
        lacks = f"there is no column or run {error.args[0]!r} in the logs in {folder}"
        raise DataError(lacks, where=str(folder), hint=HINT) from None
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the logs in {folder} cannot be read: {error}", where=str(folder)
        ) from None


def _recorded(tables: dict[str, list[dict[str, str]]]) -> list[Recorded]:
    rows: dict[str, dict[int, Row]] = {}
    for line in tables["losses"]:
        values = {"losses/discriminator": line["d_loss"], "losses/generator": line["g_loss"]}
        _add(rows, line, values)
    for line in tables["fid"]:
        _add(rows, line, {"distance/fid": line["fid"]})
    return [
        Recorded(
            name=line["run_id"],
            rows=tuple(row for _, row in sorted(rows[line["run_id"]].items())),
            collapsed=line["collapsed_late"] == "1",
            best=int(line["best_step"]),
            hours=float(line["hours_total"]),
            after_best=float(line["hours_after_best"]),
        )
        for line in tables["runs"]
    ]


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise DataError(
            f"there is no {path}",
            where=str(path),
            hint=HINT,
        ) from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}", where=str(path)) from None


def _add(rows: dict[str, dict[int, Row]], line: dict[str, str], values: dict[str, str]) -> None:
    """What was replaced by a restart or measured again is no part of the run."""
    if line["phase"] != "train":
        return
    step, told = int(line["step"]), {n: float(x) for n, x in values.items() if x}
    of_run = rows.setdefault(line["run_id"], {})
    before = of_run.get(step)
    hours = float(line["train_s"]) / 3600
    of_run[step] = Row(
        step,
        hours if before is None else max(hours, before.hours),
        told if before is None else before.values | told,
    )


def detector(run: Recorded) -> Row | None:
    """Ours, from losses and FID."""
    return _first(run, ("losses/", "distance/"))


def detector_of_losses(run: Recorded) -> Row | None:
    return _first(run, ("losses/",))


def _first(run: Recorded, names: tuple[str, ...]) -> Row | None:
    rows = [
        Row(row.step, row.hours, known)
        for row in run.rows
        if (known := {n: x for n, x in row.values.items() if n.startswith(names)})
    ]
    said = verdicts((row.step, row.values) for row in rows)
    return next((r for r, v in zip(rows, said, strict=True) if v.state == "collapsed"), None)


def fid_rule(run: Recorded) -> Row | None:
    """FID above 1.5 times its running best at 2 evaluations in a row."""
    best, high = math.inf, 0
    for row in run.rows:
        if "distance/fid" in row.values:
            value = row.values["distance/fid"]
            best = min(best, value)
            high = high + 1 if value > 1.5 * best else 0
            if high == 2:
                return row
    return None


def loss_rule(run: Recorded) -> Row | None:
    """The discriminator's loss over 4 deviations from the median of its last 100, 5 in a row.

    A deviation is 1.4826 times the median absolute one, and at least 1e-6.
    """
    values: list[float] = []
    far = 0
    for row in run.rows:
        if "losses/discriminator" not in row.values:
            continue
        value, past = row.values["losses/discriminator"], values[-100:]
        if len(past) == 100:
            centre = median(past)
            spread = max(NORMAL * median(abs(x - centre) for x in past), 1e-6)
            far = far + 1 if abs(value - centre) > 4 * spread else 0
            if far == 5:
                return row
        values.append(value)
    return None


RULES: dict[str, Rule] = {
    "detector": detector,
    "detector, losses alone": detector_of_losses,
    "FID rule": fid_rule,
    "loss rule": loss_rule,
}


def replay(runs: Sequence[Recorded]) -> list[dict[str, Any]]:
    """Each rule on all runs: hits, early, missed, false alarms, and the hours it saves.

    A collapsed run is a hit when the alarm comes after its best evaluation, and early before it.
    Hours are saved by hits alone, from the alarm to the last line of the log.
    """
    return [_account(name, list(_alarms(rule, runs))) for name, rule in RULES.items()]


def _alarms(rule: Rule, runs: Sequence[Recorded]) -> Iterator[dict[str, Any]]:
    for run in runs:
        row = rule(run)
        alarm = None if row is None else row.step
        outcome = "quiet"
        if run.collapsed:
            outcome = "missed" if alarm is None else "early" if alarm < run.best else "hit"
        elif alarm is not None:
            outcome = "false"
        saved = run.hours - row.hours if row is not None and outcome == "hit" else 0.0
        yield {"run": run.name, "alarm": alarm, "outcome": outcome, "hours_saved": saved}


def _account(name: str, alarms: list[dict[str, Any]]) -> dict[str, Any]:
    def count(outcome: str) -> int:
        return sum(alarm["outcome"] == outcome for alarm in alarms)

    return {
        "rule": name,
        "hits": count("hit"),
        "early": count("early"),
        "missed": count("missed"),
        "false_alarms": count("false"),
        "hours_saved": sum(alarm["hours_saved"] for alarm in alarms),
        "alarms": alarms,
    }
