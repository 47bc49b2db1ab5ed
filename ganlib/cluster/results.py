"""What trials come to, which of them is best, and the table of all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ganlib.config import Config, SweepConfig
from ganlib.errors import NotFound
from ganlib.training import RunSpec

if TYPE_CHECKING:
    import pandas

Reason = Literal[
    "budget", "plateau", "wall_time", "stopped", "collapsed", "diverged", "failed", "lost"
]


class TrialPlan(Config):
    """Trial `number` of a sweep: what it changes, and the run that comes of it."""

    number: int = Field(ge=0)
    overlay: dict[str, Any] = Field(default_factory=dict)
    spec: RunSpec


class TrialResult(Config):
    """How a trial ended.

    `stopped` is by a rung, `failed` by an error of its own (`note` says which), `lost` by a process
    that died more often than allowed. `score` is the coverage of a GAN, the accuracy of a
    classifier; none where nothing was measured. `model` is the exported model's folder.
    """

    number: int
    overlay: dict[str, Any] = Field(default_factory=dict)
    images: int = 0
    reason: Reason
    readings: dict[str, float] = Field(default_factory=dict)
    score: float | None = None
    seconds: float = 0.0
    note: str = ""
    model: str | None = None

    @property
    def fell_over(self) -> bool:
        return self.reason in ("collapsed", "diverged", "failed", "lost")

    @property
    def ended_well(self) -> bool:
        """Whether it may win: it measured something and did not fall over."""
        return self.score is not None and not self.fell_over


def merit(readings: Mapping[str, float], config: SweepConfig) -> tuple[int, float] | None:
    """The place of readings in the order of the sweep, larger is better; none if they have none.

    A GAN within `max_scaled_distance` goes before one beyond it; within, higher coverage first;
    beyond, smaller distance first. A classifier goes by accuracy.
    """
    if config.target == "classifier":
        accuracy = _finite(readings, "accuracy")
        return None if accuracy is None else (1, accuracy)
    coverage, distance = _finite(readings, "coverage"), _finite(readings, "scaled_distance")
    if coverage is None or distance is None:
        return None
    return (1, coverage) if distance <= config.max_scaled_distance else (0, -distance)


def score(readings: Mapping[str, float], config: SweepConfig) -> float | None:
    """The one number of the table: coverage, or accuracy."""
    return _finite(readings, "accuracy" if config.target == "classifier" else "coverage")


def best(results: Sequence[TrialResult], config: SweepConfig) -> TrialResult:
    """The trial of highest merit among those that used most of what they were given.

    Trials that a rung stopped are passed over while one that was not stopped ended well: readings
    of different lengths are not compared. Of equals the lower number wins. Raises NotFound if no
    trial ended well.
    """
    usable = [r for r in results if r.ended_well and merit(r.readings, config) is not None]
    whole = [r for r in usable if r.reason in ("budget", "plateau")] or usable
    if not whole:
        raise NotFound(
            f"none of {len(results)} trials came to a result",
            where="sweep",
            hint="look at the column note of trials.csv",
        )

    def order(result: TrialResult) -> tuple[tuple[int, float], int]:
        place = merit(result.readings, config)
        assert place is not None
        return place, -result.number

    return max(whole, key=order)


def to_frame(results: Sequence[TrialResult]) -> pandas.DataFrame:
    """One row a trial: trial, state, images, score, the overlay by path, the readings, and so on.

    A value the trial left as the configuration has it is empty.
    """
    import pandas

    paths = sorted({path for result in results for path in result.overlay})
    names = sorted({name for result in results for name in result.readings})
    columns = ["trial", "state", "images", "score", *paths, *names, "seconds", "note", "model"]
    rows = [
        {
            "trial": result.number,
            "state": result.reason,
            "images": result.images,
            "score": result.score,
            **result.overlay,
            **result.readings,
            "seconds": round(result.seconds, 1),
            "note": result.note,
            "model": result.model,
        }
        for result in sorted(results, key=lambda r: r.number)
    ]
    return pandas.DataFrame(rows, columns=columns)


def _finite(readings: Mapping[str, float], name: str) -> float | None:
    value = readings.get(name)
    return None if value is None or not math.isfinite(value) else value
