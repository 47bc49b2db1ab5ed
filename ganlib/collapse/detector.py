"""A verdict from a series of readings: a pure function, so that a stored series can be replayed.

Scores are 0 as among real samples and fall with variety. Two things are told collapsed:

- a *fall*: a signal stays `alarm` below the best it has been, or below 0, for `patience` readings,
  and is back once it is within `release` of it; a reading twice as low counts as two;
- being *stuck*: a signal of variety is twice `alarm` below 0 and has not come up by `progress` over
  the last `grace` readings, nor has coverage, unless variety has gone down by as much since it is
  so low. The least share of a class, which ends at 0, is stuck when it is `alarm` below 0 for three
  times the grace.

Signals that go together are read together too (`joint`), with `joint_alarm` in place of `alarm`:
half as much again for classes, and a fifth less for classes over ten readings. The mean of variety
within classes is stuck where it is half as much again as its alarm below 0 for half as long again
as the grace, and has not come up in that time.

The first `grace` readings are warm-up: what they were is nothing to fall from.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ganlib.collapse.joint import CLASSES, SHARES, WITHIN, Joint
from ganlib.collapse.null import Null
from ganlib.collapse.past import Past
from ganlib.collapse.verdict import HEALTHY, WARMING_UP, Verdict
from ganlib.config import DetectorConfig

Reading = tuple[int, Mapping[str, float]]
"""The clock in images and the values by name, as `Eye.read` and a loop give them."""

NOTHING = Null({}, {})
ENDS = ("least_share",)
JOINT = {WITHIN: 1.0, CLASSES: 1.5, SHARES: 0.8}
"""Joint alarms that each has to fall: shares of classes scatter more, less over ten readings."""
AT_ONCE = 2.0  # alarms
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
class Following:
    """The verdicts on a series that grows, each reading looked at once."""

    null: Null = NOTHING
    config: DetectorConfig = field(default_factory=DetectorConfig)
    seen: list[Reading] = field(default_factory=list)
    said: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._run = _Run(self.null, self.config)

    def of(self, series: Sequence[Reading]) -> list[Verdict]:
        """After each reading, as `verdicts` says them; a series that was cut is begun anew."""
        if self.seen and (
            len(series) < len(self.seen) or series[len(self.seen) - 1] is not self.seen[-1]
        ):
            self._run, self.seen, self.said = _Run(self.null, self.config), [], []
        for reading in series[len(self.seen) :]:
            self.said.append(self._run.read(*reading))
            self.seen.append(reading)
        return self.said


@dataclass
class _Track:
    """One signal so far; `by_past` are those whose scores are falls already.

    It is stuck for good below minus `depth`, after `wait` readings without progress.
    `fallen` and `low` count readings in a row, from the clock beside them on.
    """

    config: DetectorConfig
    by_past: bool
    alarm: float
    release: float
    depth: float
    wait: int
    scores: list[float] = field(default_factory=list)
    best: float = -math.inf
    fallen: int = 0
    fallen_since: int = 0
    low: int = 0
    low_since: int = 0

    @staticmethod
    def of(name: str, config: DetectorConfig, by_past: bool) -> _Track:
        alarm, release, grace = config.alarm, config.release, config.grace
        if name in JOINT:
            own = JOINT[name] * config.joint_alarm
            wait = (3 * grace + 1) // 2
            return _Track(config, by_past, own, release * own / alarm, 1.5 * own, wait)
        if name.endswith(ENDS):
            return _Track(config, by_past, alarm, release, alarm, 3 * grace)
        return _Track(config, by_past, alarm, release, 2 * alarm, grace)

    def add(self, clock: int, score: float, warm: bool) -> None:
        self.scores.append(score)
        if self.by_past or warm:
            top = 0.0 if self.by_past else min(0.0, self.best)
            limit = self.release if self.fallen and not self.by_past else self.alarm
            if score >= top - limit:
                self.fallen = 0
            else:
                self.fallen_since = self.fallen_since if self.fallen else clock
                deep = not self.by_past and score < top - AT_ONCE * self.alarm
                self.fallen += 2 if deep else 1
            self.best = max(self.best, score)
        if not self.by_past:
            self.low = self.low + 1 if score < -self.alarm else 0
            self.low_since = clock if self.low == 1 else self.low_since

    @property
    def comes_up(self) -> bool:
        """Over as long as is waited; nothing is said of fewer readings."""
        if len(self.scores) <= self.wait:
            return False
        return max(self.scores[-self.wait :]) >= self.scores[-self.wait - 1] + self.config.progress

    @property
    def stuck(self) -> bool:
        """Low for longer than is waited, and not coming up."""
        return self.low > self.wait and not self.comes_up

    @property
    def sinks(self) -> bool:
        """Lower now than where its low readings began."""
        return max(self.scores[-2:]) < self.scores[-self.low] - self.config.progress

    @property
    def deep(self) -> bool:
        return self.stuck and max(self.scores[-2:]) < -self.depth


class _Run:
    def __init__(self, null: Null, config: DetectorConfig) -> None:
        self.null, self.config = null, config
        self.past, self.joint = Past(), Joint()
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
        by_past = self.past.scores(values)
        for name, score in (self.joint.scores(scores) | by_past).items():
            if name not in self.tracks:
                self.tracks[name] = _Track.of(name, self.config, name in by_past)
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
        within = self.tracks.get(WITHIN)
        if within is not None and within.deep:
            deep[WITHIN] = within.low_since
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
