"""What a report tells, as plain values: pages and cards are functions of it.

Every text may come from a user's folder or class and is escaped where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ganlib.evaluation.table import Row

Terms = tuple[tuple[str, str], ...]
Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Picture:
    """`image` is the bytes of a PNG; `name` is unique in the report."""

    name: str
    title: str
    text: str
    image: bytes


@dataclass(frozen=True)
class Frame:
    """The same noise after so many images; `coverage` is the last reading up to then."""

    clock: int
    image: bytes
    coverage: float | None


@dataclass(frozen=True)
class Table:
    """Cells are text; the columns named in `right` are numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rival:
    """The champion when this was evaluated; without `rows` it has not met this judge yet."""

    name: str
    text: str
    picture: Picture | None = None
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class ByClass:
    """Coverage of one class, and its share among the generated and the real images."""

    name: str
    coverage: Row
    share: Row | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One evaluation. `series` are by reading, over the clock in images.

    `floor_of` says which real images stand in for generated ones, `judge_told` is all there is of a
    judge that has no `judge_rows`.
    """

    title: str
    purpose: str
    headline: str
    alarms: tuple[str, ...] = ()
    trained: Terms
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...] = ()
    frames: tuple[Frame, ...] = ()
    series: dict[str, Points] = field(default_factory=dict)
    rows: tuple[Row, ...]
    samples: int
    floor_of: str = "other real images"
    rival: Rival | None = None
    no_rival: str = ""
    collapse: Terms
    collapse_series: dict[str, Points] = field(default_factory=dict)
    trials: Table | None = None
    judge_told: str = ""
    judge_rows: tuple[Row, ...] = ()
    cost: Table
    cost_notes: tuple[str, ...] = ()
    lineage: Terms
    command: str
    config: str
    expected: Terms
    environment: Terms

    def picture(self, name: str) -> Picture | None:
        return next((p for p in self.pictures if p.name == name), None)

    def row(self, metric: str) -> Row | None:
        return find(self.rows, metric)

    def overall(self) -> list[Row]:
        """The figures that are not of one class."""
        return [row for row in self.rows if "/" not in row.metric]

    def of_classes(self) -> list[Row]:
        return [row for row in self.rows if "/" in row.metric]

    def judge_overall(self) -> list[Row]:
        return [row for row in self.judge_rows if "/" not in row.metric]

    def judge_of_classes(self) -> list[Row]:
        return [row for row in self.judge_rows if "/" in row.metric]

    def classes(self) -> list[ByClass]:
        """In the order of the classes, as the judge sees them: the extractor of the first row."""
        head = "intra_class_coverage/"
        return [
            ByClass(
                name := row.metric.removeprefix(head), row, find(self.rows, f"class_share/{name}")
            )
            for row in self.rows
            if row.metric.startswith(head) and row.extractor == self.rows[0].extractor
        ]


SHOWN = (
    "relative_coverage",
    "coverage",
    "scaled_distance",
    "recall",
    "precision",
    "label_agreement",
    "classes_present",
    "classification_accuracy",
    "memorisation",
)


def find(rows: Iterable[Row], metric: str) -> Row | None:
    return next((row for row in rows if row.metric == metric), None)


def number(value: float | None) -> str:
    """Four significant digits, whole from a thousand on, or a dash where there is nothing."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def interval(row: Row) -> str:
    """`[low, high]`, what is known of it where an end is open, or a dash."""
    match row.low, row.high:
        case None, None:
            return "–"
        case low, None:
            return f"over {number(low)}"
        case None, high:
            return f"under {number(high)}"
        case low, high:
            return f"[{number(low)}, {number(high)}]"


def words(name: str) -> str:
    """A metric's name as a person reads it; the class after the slash stays as it is."""
    head, slash, tail = name.partition("/")
    return head.replace("_", " ") + slash + tail


def headline_rows(rows: Sequence[Row]) -> list[Row]:
    """The few that tell most, in this order."""
    return [row for name in SHOWN if (row := find(rows, name)) is not None]
