"""When a schedule fires, asked of the very class by which Prefect's server makes its runs.

What that class does where clocks change is measured in `tests/flows/test_firing.py`: a time that is
left out is fired as early as the clock was put forward, and one that comes twice at the first
of the two.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pydantic import Field

from flows.schedules import Overlap, Schedule
from ganlib.config import Config
from ganlib.errors import ConfigError
from ganlib.stages.durations import duration

MOST = 1000
"""Prefect's own limit of how many dates it looks at."""

DAYS_AHEAD = 400
AROUND, AROUND_MOST, CLOSELY = timedelta(hours=30), 100, timedelta(hours=2)


class Firing(Config):
    """`at` is local time. `ends` and `outcome` are told where a duration was."""

    at: datetime
    utc: datetime
    note: str = ""
    outcome: str = ""
    starts: datetime | None = None
    ends: datetime | None = None


class ClockChange(Config):
    """`firings` are those from the day before to the day after."""

    at: datetime
    shift_minutes: int = Field(description="how far clocks are put forward; back is negative")
    firings: tuple[Firing, ...]


def fire_times(schedule: Schedule, start: datetime, count: int) -> list[datetime]:
    """The next `count` from `start` on, in local time."""
    return _dates(schedule, n=count, start=start)


def between(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """All from `start` to `end`, both included. Raises ConfigError for 1,000 or more."""
    found = _dates(schedule, start=start, end=end)
    if len(found) >= MOST:
        raise ConfigError(
            f"{schedule.name} fires {MOST:,} times or more between {start} and {end}",
            where="--from",
            hint="give a shorter time",
        )
    begins = start.astimezone(UTC)
    return [at for at in found if at.astimezone(UTC) >= begins]


def days(schedule: Schedule, first: date, last: date) -> tuple[datetime, datetime]:
    """From the first instant of one day to the last second of another, in the schedule's zone."""
    zone = zoneinfo.ZoneInfo(schedule.timezone)
    return (
        datetime.combine(first, time(0), zone),
        datetime.combine(last, time(23, 59, 59), zone),
    )


def simulate(
    schedule: Schedule, start: datetime, count: int, expected: timedelta | None = None
) -> list[Firing]:
    """The next firings, each with what the clock does to it and, given how long a run takes,
    what becomes of it beside those before it.
    """
    dates = fire_times(schedule, start, count)
    times = [at.astimezone(UTC) for at in dates]  # where a difference is one of real time
    fates = fates_of(times, expected, schedule.overlap) if expected else [{} for _ in dates]
    return [
        Firing(at=at, utc=utc, note=_note(schedule, at), **fate)
        for at, utc, fate in zip(dates, times, fates, strict=True)
    ]


def fates_of(
    dates: Sequence[datetime], expected: timedelta, overlap: Overlap
) -> list[dict[str, Any]]:
    """What becomes of each: `outcome`, and `starts` and `ends` of those that run.

    `dates` are in UTC, since Python subtracts local times as a clock on the wall shows them.
    """
    fates: list[dict[str, Any]] = []
    free: datetime | None = None  # when the run before is over
    for at in dates:
        busy = free is not None and at < free
        starts = free if busy and overlap == "queue" else at
        if busy and overlap == "skip":
            fates.append({"outcome": "skipped: the run before still runs"})
            continue
        assert starts is not None
        outcome = "runs"
        if busy and overlap == "queue":
            outcome = f"waits {_told(starts - at)}"
        elif busy:
            ran = at - fates[-1]["starts"]
            fates[-1] |= {"outcome": f"cancelled after {_told(ran)}", "ends": at}
        free = starts + expected
        fates.append({"outcome": outcome, "starts": starts, "ends": free})
    return fates


def clock_changes(schedule: Schedule, start: datetime) -> list[ClockChange]:
    """The changes of the zone's clock in the next 400 days, with the firings around each.

    Of a day or more before and after, or of two hours where those are too many to be looked at.
    """
    found: list[ClockChange] = []
    for at, shift in _shifts(schedule.timezone, start):
        utc = at.astimezone(UTC)
        dates = _dates(schedule, start=utc - AROUND, end=utc + AROUND)
        if len(dates) > AROUND_MOST:
            dates = between(schedule, utc - CLOSELY, utc + CLOSELY)
        firings = tuple(
            Firing(at=one, utc=one.astimezone(UTC), note=_note(schedule, one)) for one in dates
        )
        found.append(ClockChange(at=at, shift_minutes=shift, firings=firings))
    return found


def _shifts(timezone: str, start: datetime) -> Iterator[tuple[datetime, int]]:
    """Instants, in the zone, at which its offset changes, found to the minute."""
    zone = zoneinfo.ZoneInfo(timezone)
    before = start.astimezone(UTC).replace(second=0, microsecond=0)
    for _ in range(DAYS_AHEAD):
        after = before + timedelta(days=1)
        old, new = (moment.astimezone(zone).utcoffset() for moment in (before, after))
        if old != new and old is not None and new is not None:
            low, high = before, after
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
                same = middle.astimezone(zone).utcoffset() == old
                low, high = (middle, high) if same else (low, middle)
            yield high.astimezone(zone), int((new - old).total_seconds() // 60)
        before = after


def _note(schedule: Schedule, at: datetime) -> str:
    """What is odd about a firing where clocks change."""
    wall, zone = at.replace(tzinfo=None), zoneinfo.ZoneInfo(schedule.timezone)
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if _next_on_the_wall(schedule, wall) != wall:
        return "the time that is meant does not exist on this day"
    if first != second:
        return f"comes twice on this day: the {'first' if at.utcoffset() == first else 'second'}"
    return ""


def _next_on_the_wall(schedule: Schedule, wall: datetime) -> datetime:
    """When the cron says so next, where no clock changes."""
    plain = schedule.model_copy(update={"timezone": "UTC"})
    return _dates(plain, n=1, start=wall.replace(tzinfo=UTC))[0].replace(tzinfo=None)


def _dates(schedule: Schedule, **bounds: Any) -> list[datetime]:
    """Raises ConfigError for a cron that is none, and for one that names a day no calendar has."""
    from prefect.server.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        rule = CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    except ValidationError as error:
        raise ConfigError(
            f"cron={schedule.cron!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}",
            where="cron",
            hint="minute hour day month weekday, as '0 2 * * *'",
        ) from None
    found = (_plain(at, schedule.timezone) for at in rule._get_dates_generator(**bounds))
    try:
        return sorted(found, key=datetime.timestamp)
    except (ValueError, OverflowError):  # croniter's search of fifty years, or the year 9999
        raise ConfigError(
            f"cron={schedule.cron!r} has no date to fire at",
            where="cron",
            hint="the 30th of February, for instance, never comes",
        ) from None


def _plain(at: datetime, timezone: str) -> datetime:
    """The standard library's, whatever library Prefect counts with."""
    return datetime.fromtimestamp(at.timestamp(), UTC).astimezone(zoneinfo.ZoneInfo(timezone))


def _told(span: timedelta) -> str:
    return duration(span.total_seconds())
