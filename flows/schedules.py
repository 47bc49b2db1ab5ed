"""What runs by the clock: a configuration, a cron, and what becomes of runs that meet.

A home keeps its schedules in files, so that adding one needs no server; a server is told of them.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from ganlib.config import Config, PipelineConfig
from ganlib.config.overlay import parse
from ganlib.errors import NotFound
from ganlib.storage import read_json, write_json

Overlap = Literal["skip", "queue", "cancel"]
CatchUp = Literal["latest", "all", "none"]
Retrain = Literal["new-data", "always"]
Start = Literal["nothing", "champion"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
POOL = "ganlib"
"""The work pool of `ganlib schedule serve`."""
SKIPPED, NOT_PROMOTED = "Skipped", "NotPromoted"
COLLAPSED, DIVERGED = "Collapsed", "Diverged"
"""Names of final states, the first two of kind Completed, the others of kind Failed."""


class Schedule(Config):
    """`since` is when it was added, or resumed last: nothing before it was ever missed."""

    name: str = Field(pattern=NAME)
    config: PipelineConfig
    cron: str = Field(description="five fields: minute, hour, day, month, weekday")
    timezone: str = "UTC"
    overlap: Overlap = "skip"
    catch_up: CatchUp = "latest"
    retrain: Retrain = "new-data"
    start: Start = "nothing"
    work_pool: str = Field(default=POOL, min_length=1)
    paused: bool = False
    since: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        zones = zoneinfo.available_timezones()
        if name not in zones:
            close = difflib.get_close_matches(name, zones, n=1)
            more = f"did you mean {close[0]}?" if close else "names are as Europe/Berlin"
            raise ValueError(f"there is no such timezone; {more}")
        return name

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, cron: str) -> str:
        """Prefect would take seconds and words as well, and fire by them far too often."""
        if len(cron.split()) != 5 or re.search(r"[^\w*/,\-# ]", cron):
            raise ValueError("not a cron of five fields, as '0 2 * * *' for two at night")
        return cron


def folder(home: Path) -> Path:
    return home / "prefect" / "schedules"


def kept(home: Path) -> tuple[Schedule, ...]:
    """The schedules of a home, by name. Raises Damaged or ConfigError naming the file."""
    return tuple(_read(path) for path in sorted(folder(home).glob("*.json")))


def names(home: Path) -> list[str]:
    """Of all that are kept, those too whose file cannot be read."""
    return sorted(path.stem for path in folder(home).glob("*.json"))


def named(home: Path, name: str) -> Schedule:
    """Raises NotFound with the names there are."""
    return _read(_file(home, name))


def _file(home: Path, name: str) -> Path:
    path = folder(home) / f"{name}.json"
    if not re.match(NAME, name) or not path.is_file():
        there = names(home)
        close = difflib.get_close_matches(name, there, n=1)
        raise NotFound(
            f"there is no schedule {name!r} in {home}",
            where=name,
            hint=(f"did you mean {close[0]}? " if close else "")
            + (f"schedules: {', '.join(there)}" if there else "ganlib schedule add makes one"),
        )
    return path


def keep(home: Path, schedule: Schedule) -> Schedule:
    """Write it down; one of the same name is replaced."""
    write_json(folder(home) / f"{schedule.name}.json", schedule.model_dump(mode="json"))
    return schedule


def forget(home: Path, name: str) -> None:
    """One that cannot be read as well. Raises NotFound as `named` does."""
    _file(home, name).unlink()


def changed(schedule: Schedule, **changes: Any) -> Schedule:
    """Validated anew."""
    return parse(Schedule, schedule.model_dump(mode="json") | changes, f"schedule {schedule.name}")


def _read(path: Path) -> Schedule:
    return parse(Schedule, read_json(path), str(path))
