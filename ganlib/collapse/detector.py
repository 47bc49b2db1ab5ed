"""A verdict from a series of readings: a pure function, so that a stored series can be replayed.

Scores are 0 as among real samples and fall with variety. Two things are told collapsed:

- a *fall*: a signal stays `alarm` below the best it has been, or below 0, for `patience` readings,
  and is back once it is within `release` of it;
- being *stuck*: a signal of variety is twice `alarm` below 0 (the least share of a class, which
  ends at 0, `alarm`) and has not come up by `progress` over the last `grace` readings, nor has
  coverage, unless variety has gone down by as much since it is so low.

The first `grace` readings are warm-up: what they were is nothing to fall from.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ganlib.collapse.null import Null
from ganlib.collapse.past import Past
from ganlib.collapse.verdict import HEALTHY, WARMING_UP, Verdict
from ganlib.config import DetectorConfig

Reading = tuple[int, Mapping[str, float]]
"""The clock in images and the values by name, as `Eye.read` and a loop give them."""

NOTHING = Null({}, {})
DEEP = 2.0  # alarms
ENDS = ("least_share",)
LIKENESS = ("coverage",)
# Signals of variety that show progress; the share of repeated samples is 1 until they differ.
VARIETY = ("variance", "neighbour_distance", "effective_rank", "spread", "entropy", "least_share")
WON, BLIND = 0.99, 0.02


def detect(
    series: Sequence[Reading], null: Null = NOTHING, config: DetectorConfig | None = None
) -> Verdict:
    """The verdict at the end of `series`; of none yet it is warming up."""
    last = deque([WARMING_UP], maxlen=1)
    last.extend(verdicts(series, null, config))
    return last[0]


def verdicts(
    series: Iterable[Reading], null: Null = NOTHING, config: DetectorConfig | None = None
) -> Iterator[Verdict]:
    """The verdict after each reading, from it and those before."""
    run = _Run(null, config or DetectorConfig())
    for clock, values in series:
        yield run.read(clock, values)


@dataclass
class _Track:
    """One signal so far; `by_past` are those whose scores are falls already.

    `depth` is how many alarms it has to be below 0 to be stuck for good.
    `fallen` and `low` count readings in a row, from the clock beside them on.
    """

    config: DetectorConfig
    by_past: bool
    depth: float
    scores: list[float] = field(default_factory=list)
    best: float = -math.inf
    fallen: int = 0
    fallen_since: int = 0
    low: int = 0
    low_since: int = 0

    def add(self, clock: int, score: float, warm: bool) -> None:
        config = self.config
        self.scores.append(score)
        if self.by_past or warm:
            top = 0.0 if self.by_past else min(0.0, self.best)
            limit = config.release if self.fallen and not self.by_past else config.alarm
            self.fallen = self.fallen + 1 if score < top - limit else 0
            self.fallen_since = clock if self.fallen == 1 else self.fallen_since
            self.best = max(self.best, score)
        if not self.by_past:
            self.low = self.low + 1 if score < -config.alarm else 0
            self.low_since = clock if self.low == 1 else self.low_since

    @property
    def comes_up(self) -> bool:
        """Over the grace; nothing is said of fewer readings."""
        grace = self.config.grace
        if len(self.scores) <= grace:
            return False
        return max(self.scores[-grace:]) >= self.scores[-grace - 1] + self.config.progress

    @property
    def stuck(self) -> bool:
        """Low for longer than the grace, and not coming up."""
        return self.low > self.config.grace and not self.comes_up

    @property
    def sinks(self) -> bool:
        """Lower now than where its low readings began."""
        return max(self.scores[-2:]) < self.scores[-self.low] - self.config.progress

    @property
    def deep(self) -> bool:
        return self.stuck and max(self.scores[-2:]) < -self.depth * self.config.alarm


class _Run:
    def __init__(self, null: Null, config: DetectorConfig) -> None:
        self.null, self.config = null, config
        self.past = Past()
        self.tracks: dict[str, _Track] = {}
        self.rates: list[float] = []
        self.measured = 0
        self.accused: dict[str, int] = {}
        self.inside = 0
        self.recovered = False
        self.diverged: Verdict | None = None

    def read(self, clock: int, values: Mapping[str, float]) -> Verdict:
        wrong = tuple(name for name, value in values.items() if not math.isfinite(value))
        if wrong and self.diverged is None:
            self.diverged = Verdict(state="diverged", signals=wrong, since=clock)
        if self.diverged is not None:
            return self.diverged
        scores = self.null.scores(values)
        self.measured += bool(scores)
        for name, score in (scores | self.past.scores(values)).items():
            if name not in self.tracks:
                depth = 1.0 if name.endswith(ENDS) else DEEP
                self.tracks[name] = _Track(self.config, name not in scores, depth)
            self.tracks[name].add(clock, score, self.measured > self.config.grace)
        if "play/win_rate" in values:
            self.rates.append(values["play/win_rate"])
        return self._say()

    def _say(self) -> Verdict:
        against = self._against()
        if self.accused or against:
            return self._collapse(against)
        if 0 < self.measured <= self.config.grace:
            low = {name: track.low_since for name, track in self.tracks.items() if track.low}
            return self._verdict("warming_up", low) if low else HEALTHY
        if fallen := self._fallen(1):
            return self._verdict("suspect", fallen)
        low = {name: self.tracks[name].low_since for name in self._variety() if self._low(name)}
        stuck = {name: since for name, since in low.items() if self.tracks[name].stuck}
        if low and self._stalled():
            return self._verdict("stalled", low)
        if stuck:
            return self._verdict("suspect", stuck)
        if low:
            return self._verdict("warming_up", low)
        return Verdict(state="recovered") if self.recovered else HEALTHY

    def _against(self) -> dict[str, int]:
        """The signals that tell a collapse, and since when.

        Losses do not tell it alone where anything else is read, but what else has fallen then need
        not have done so for its whole patience.
        """
        odd = {
            name: track.fallen_since
            for name, track in self.tracks.items()
            if _is_loss(name) and track.fallen >= self.config.loss_patience
        }
        if all(_is_loss(name) for name in self.tracks):
            return odd
        nears = any(t.low and t.comes_up for n, t in self.tracks.items() if n.endswith(LIKENESS))
        deep = {
            name: track.low_since
            for name in self._variety()
            if (track := self.tracks[name]).deep and (track.sinks or not nears)
        }
        return self._fallen(1 if odd else self.config.patience) | deep

    def _fallen(self, readings: int) -> dict[str, int]:
        return {
            name: track.fallen_since
            for name, track in self.tracks.items()
            if track.fallen >= readings and not _is_loss(name)
        }

    def _variety(self) -> list[str]:
        return [name for name in self.tracks if name.endswith(VARIETY)]

    def _low(self, name: str) -> bool:
        return self.tracks[name].low > 0

    def _collapse(self, against: dict[str, int]) -> Verdict:
        self.accused = against | self.accused
        still = {
            name: since
            for name, since in self.accused.items()
            if self.tracks[name].fallen or self.tracks[name].low
        }
        self.inside = 0 if still else self.inside + 1
        if self.inside < self.config.recover:
            since = min(self.accused.values())
            return self._verdict("collapsed", dict.fromkeys(still or self.accused, since))
        self.accused, self.inside, self.recovered = {}, 0, True
        return Verdict(state="recovered")

    def _stalled(self) -> bool:
        """One player has won, or neither tells anything, while variety lacks."""
        recent = self.rates[-self.config.grace :]
        if len(recent) < self.config.grace:
            return False
        return min(recent) >= WON or max(abs(rate - 0.5) for rate in recent) <= BLIND

    def _verdict(self, state: str, names: Mapping[str, int]) -> Verdict:
        """Strongest first."""
        order = tuple(sorted(names, key=lambda name: self.tracks[name].scores[-1]))
        told = {"state": state, "signals": order, "since": min(names.values())}
        return Verdict.model_validate(told)


def _is_loss(name: str) -> bool:
    return name.startswith("losses/")
