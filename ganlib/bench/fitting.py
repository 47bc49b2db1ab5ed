"""Thresholds of the detector chosen on some runs and told of others, by replaying what was read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from statistics import fmean
from typing import Any, NamedTuple

from ganlib.bench.truth import Cell, Truth
from ganlib.collapse import Null, verdicts
from ganlib.config import DetectorConfig, overlay

RECALL, FALSE_ALARMS, DELAY = 0.95, 0.02, 0.05
RELEASE = 0.625  # of the alarm
CHOICES: Mapping[str, tuple[float, ...]] = {
    "alarm": (4.0, 5.0, 6.0),
    "joint_alarm": (1.75, 2.0, 2.5),
    "patience": (1, 2, 3),
    "progress": (0.5, 1.0, 2.0),
}


@dataclass(frozen=True)
class Known:
    """A run with what was true of it: it collapsed at the clock `onset`, or is healthy.

    `turn` is the clock from which something made it collapse.
    """

    cell: Cell
    truth: Truth
    onset: int | None

    @property
    def turn(self) -> int:
        return int(self.cell["turn"])


@dataclass(frozen=True)
class Told:
    """What the detector said of a run: the clock of its first alarm, and by which signals.

    `early` is an alarm before anything made the run collapse. `delay` is from the onset to the
    alarm, 0 before it, as a share of what the run has of its own.
    """

    alarm: int | None
    signals: tuple[str, ...]
    early: bool
    delay: float

    @property
    def hit(self) -> bool:
        return self.alarm is not None and not self.early


def configs() -> list[DetectorConfig]:
    """The default first, and all that may be chosen."""
    found = [DetectorConfig()]
    for values in product(*CHOICES.values()):
        changes = dict(zip(CHOICES, values, strict=True))
        changes["release"] = RELEASE * changes["alarm"]
        config = overlay(DetectorConfig(), changes)
        if config not in found:
            found.append(config)
    return found


def told_of(run: Known, config: DetectorConfig) -> Told:
    """From where the run has anything of its own."""
    cell = run.cell
    series = [(int(clock), values) for clock, values in cell["series"]]
    null = Null(cell["null"]["centre"], cell["null"]["spread"])
    for (clock, _), verdict in zip(series, verdicts(series, null, config), strict=True):
        if clock > cell["start"] and verdict.state == "collapsed":
            late = 0 if run.onset is None else max(0, clock - run.onset)
            own = cell["images"] - cell["start"]
            return Told(clock, verdict.signals, clock <= run.turn, late / own)
    return Told(None, (), False, 0.0)


@dataclass(frozen=True, eq=False)
class Replays:
    """What each choice of thresholds says of each run: `told[choice][run]`."""

    runs: Sequence[Known]
    choices: Sequence[DetectorConfig]
    told: Sequence[Sequence[Told]]

    @staticmethod
    def of(runs: Sequence[Known]) -> Replays:
        choices = configs()
        return Replays(
            runs, choices, [[told_of(run, choice) for run in runs] for choice in choices]
        )

    def fitted(self, rows: Iterable[int] | None = None) -> int:
        """The choice that costs least on these runs, on all if none are named.

        The default where none costs less by more than a standard error (Breiman et al. 1984,
        section 3.4.3): a threshold that saves two runs of a hundred by chance is not chosen.
        """
        known = list(range(len(self.runs)) if rows is None else rows)
        costs = [_cost((self.runs[n], told[n]) for n in known) for told in self.told]
        least = min(costs)
        return 0 if costs[0].of <= least.of + least.error else costs.index(least)

    def left_out(self, others: Replays | None = None) -> list[int]:
        """For each run the choice that costs least on those of other mechanisms and datasets, of
        `others` where they are given.
        """
        fitted_on = others or self

        @cache
        def best(mechanism: str, dataset: str) -> int:
            runs = enumerate(fitted_on.runs)
            return fitted_on.fitted(n for n, run in runs if _apart(run, mechanism, dataset))

        return [best(run.cell["mechanism"], run.cell["dataset"]) for run in self.runs]


def _apart(run: Known, mechanism: str, dataset: str) -> bool:
    return bool(run.cell["mechanism"] != mechanism and run.cell["dataset"] != dataset)


class Cost(NamedTuple):
    """Misses and false alarms in units of what is allowed of each; the mean delay beside it."""

    of: float
    delay: float
    error: float


def _cost(pairs: Iterable[tuple[Known, Told]]) -> Cost:
    hits, alarms, delays = [], [], []
    for run, told in pairs:
        if run.truth == "collapsed":
            hits.append(told.hit)
            delays.append(told.delay if told.hit else 1.0)
        else:
            alarms.append(told.alarm is not None)
    missed = 1 - fmean(hits) if hits else 0.0
    false = fmean(alarms) if alarms else 0.0
    error = math.hypot(
        _error(missed, len(hits)) / (1 - RECALL), _error(false, len(alarms)) / FALSE_ALARMS
    )
    delay = fmean(delays) if delays else 0.0
    return Cost(missed / (1 - RECALL) + false / FALSE_ALARMS, delay, error)


def _error(share: float, count: int) -> float:
    """Of a share, with two more of either sort (Agresti and Coull 1998): that of none is not 0."""
    if not count:
        return 0.0
    likely = (share * count + 2) / (count + 4)
    return math.sqrt(likely * (1 - likely) / count)


def thresholds(config: DetectorConfig) -> dict[str, Any]:
    """What of it was chosen."""
    return {name: getattr(config, name) for name in CHOICES}
