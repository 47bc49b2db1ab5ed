"""Repeated evaluation as a table: value, spread over sample sets, and the floor of the real."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Row:
    """`spread` is the standard deviation over repeats; `floor` is real against real."""

    metric: str
    value: float
    spread: float
    floor: float
    samples: int
    extractor: str


@dataclass(frozen=True)
class EvaluationTable:
    """One row per metric; `share_K` the mean share of each class, `real_share_K` the real one."""

    rows: tuple[Row, ...]
    share_K: tuple[float, ...]
    real_share_K: tuple[float, ...]

    def __getitem__(self, metric: str) -> Row:
        """Raises KeyError if there is no such metric."""
        for row in self.rows:
            if row.metric == metric:
                return row
        raise KeyError(metric)

    def readings(self) -> dict[str, float]:
        """Metric -> its mean over the repeats."""
        return {row.metric: row.value for row in self.rows}

    def spreads(self) -> dict[str, float]:
        """Metric -> its standard deviation over the repeats."""
        return {row.metric: row.spread for row in self.rows}

    def to_frame(self) -> pandas.DataFrame:
        """Columns metric, value, spread, floor, samples, extractor."""
        import pandas

        return pandas.DataFrame([asdict(row) for row in self.rows])
