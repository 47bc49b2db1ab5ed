"""Repeated evaluation as a table: each value with its interval and the floor of the real."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


NUMBERS = ("value", "low", "high", "floor", "floor_low", "floor_high")


@dataclass(frozen=True)
class Row:
    """One figure. `low` and `high` are its 95 % interval, none without one; `over` is what would
    have to be drawn again for it: `sample sets` of the generator before the same held-out images,
    so what other held-out images would say is not in it; `samples and real images`, parts of which
    are left out in turn; the `near pairs` counted; the `taught classifiers`, each with the images
    that taught it; or the `held-out images` of a judge.

    `floor` is what real images score against real ones at `count` of each, none where that has no
    meaning, the mean where there are several draws of them; `floor_low` and `floor_high` are its
    95 % interval over these draws, none of a single one. `value` is none where there is none or it
    is infinite: a number of images without repetitions, above `low`; a distance of a class that was
    never generated. A metric of one class is named `metric/class`.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    floor: float | None
    count: int
    extractor: str
    layer: str
    over: str = ""
    floor_low: float | None = None
    floor_high: float | None = None

    @staticmethod
    def of(
        metric: str,
        value: float,
        between: tuple[float, float],
        *,
        floor: float = math.nan,
        floor_between: tuple[float, float] = (math.nan, math.nan),
        count: int,
        extractor: str,
        over: str,
    ) -> Row:
        """`extractor` as extractors are named, `network:layer`; what is not finite becomes none."""
        network, _, layer = extractor.partition(":")
        low, high = map(_known, between)
        told = over if low is not None or high is not None else ""
        return Row(
            metric,
            _known(value),
            low,
            high,
            _known(floor),
            count,
            network,
            layer,
            told,
            *map(_known, floor_between),
        )


@dataclass(frozen=True)
class EvaluationTable:
    """`spread` is each metric's standard deviation over the sample sets, of classes_present what
    chance does to real images.

    `share_K` is the mean share of each class among the generated, `real_share_K` the real one.
    """

    rows: tuple[Row, ...]
    share_K: tuple[float, ...]
    real_share_K: tuple[float, ...]
    spread: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Row:
        """Raises KeyError if there is no such metric."""
        for row in self.rows:
            if row.metric == metric:
                return row
        raise KeyError(metric)

    def readings(self) -> dict[str, float]:
        """Metric -> its mean over the sample sets; without those of single classes."""
        return {
            row.metric: row.value
            for row in self.rows
            if row.value is not None and "/" not in row.metric
        }

    def to_frame(self) -> pandas.DataFrame:
        """A column for each field of a `Row`."""
        return to_frame(self.rows)


def to_frame(rows: tuple[Row, ...]) -> pandas.DataFrame:
    """A column for each field of a `Row`."""
    import pandas

    frame = pandas.DataFrame([asdict(row) for row in rows], columns=list(Row.__annotations__))
    return frame.astype(dict.fromkeys(NUMBERS, "float64"))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
