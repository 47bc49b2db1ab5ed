"""When a schedule fires: what Prefect does where clocks change, and what becomes of overlaps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from flows import firing
from flows.schedules import Overlap, Schedule
from ganlib.config import load_recipe
from ganlib.errors import ConfigError

ZONES = {
    # zone: (day clocks go forward, the hour fired instead of 02:30), (day they go back, its offset)
    "Europe/Berlin": (("2026-03-29", "01:30+0100"), ("2026-10-25", "02:30+0200")),
    "America/New_York": (("2026-03-08", "01:30-0500"), ("2026-11-01", "02:30-0500")),
    "Australia/Sydney": (("2026-10-04", "01:30+1000"), ("2026-04-05", "02:30+1100")),
}


def night(cron: str = "30 2 * * *", timezone: str = "UTC", overlap: Overlap = "skip") -> Schedule:
    return Schedule(
        name="night", config=load_recipe("digits"), cron=cron, timezone=timezone, overlap=overlap
    )


def fired(schedule: Schedule, day: str) -> list[firing.Firing]:
    start, _ = firing.days(schedule, *[date.fromisoformat(day) - timedelta(days=1)] * 2)
    return [f for f in firing.simulate(schedule, start, 3) if f"{f.at:%Y-%m-%d}" == day]


@pytest.mark.parametrize("zone", ZONES)
def test_a_night_whose_hour_is_left_out_runs_an_hour_early_once(zone: str) -> None:
    day, clock = ZONES[zone][0]
    (one,) = fired(night(timezone=zone), day)
    assert f"{one.at:%H:%M%z}" == clock
    assert "does not exist" in one.note


@pytest.mark.parametrize("zone", ZONES)
def test_a_night_whose_hour_comes_twice_runs_once(zone: str) -> None:
    day, clock = ZONES[zone][1]
    (one,) = fired(night(timezone=zone), day)
    assert f"{one.at:%H:%M%z}" == clock
    # In New York it is the hour from one to two that comes twice.
    assert one.note == ("" if zone == "America/New_York" else "comes twice on this day: the first")


@pytest.mark.parametrize("zone", ZONES)
def test_thirty_nights_across_a_change_are_thirty_days(zone: str) -> None:
    schedule = night(timezone=zone)
    for day, _ in ZONES[zone]:
        first = date.fromisoformat(day) - timedelta(days=15)
        start, _ = firing.days(schedule, first, first)
        days = [f.at.date() for f in firing.simulate(schedule, start, 30)]
        assert days == [first + timedelta(days=number) for number in range(30)]


@pytest.mark.parametrize("zone", ZONES)
def test_changes_of_the_clock_are_found_with_what_fires_around_them(zone: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    changes = firing.clock_changes(night(timezone=zone), start)
    found = {f"{change.at:%Y-%m-%d}": change for change in changes[:2]}
    (forward, _), (back, _) = ZONES[zone]
    assert set(found) == {forward, back}
    assert (found[forward].shift_minutes, found[back].shift_minutes) == (60, -60)
    assert [bool(f.note) for f in found[forward].firings].count(True) == 1
    assert {f.at.date().isoformat() for f in found[forward].firings} >= {forward}


def test_no_change_of_the_clock_where_there_is_none() -> None:
    assert firing.clock_changes(night(), datetime(2026, 1, 1, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("overlap", "outcomes"),
    [
        ("skip", ["runs", "skipped: the run before still runs", "runs"]),
        ("queue", ["runs", "waits 6 h 00 min", "waits 12 h 00 min"]),
        ("cancel", ["cancelled after 24 h 00 min", "cancelled after 24 h 00 min", "runs"]),
    ],
)
def test_nights_of_thirty_hours_overlap(overlap: Overlap, outcomes: list[str]) -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC)
    coming = firing.simulate(night(overlap=overlap), start, 3, timedelta(hours=30))
    assert [f.outcome for f in coming] == outcomes


def test_overlaps_are_counted_in_real_time() -> None:
    """From 02:30 to 02:30 are 25 hours when clocks go back, so a run of 24 h 30 min is over."""
    schedule = night(timezone="Europe/Berlin")
    start, _ = firing.days(schedule, *[date(2026, 10, 25)] * 2)
    coming = firing.simulate(schedule, start, 3, timedelta(hours=24, minutes=30))
    assert [f.outcome.split(":")[0] for f in coming] == ["runs", "runs", "skipped"]


def test_what_cannot_fire_is_refused_with_the_setting() -> None:
    with pytest.raises(ConfigError, match="cron=") as caught:
        firing.fire_times(night("61 2 * * *"), datetime.now(UTC), 1)
    assert caught.value.where == "cron"
    with pytest.raises(ConfigError, match="no date to fire at"):
        firing.fire_times(night("0 2 30 2 *"), datetime.now(UTC), 1)
    with pytest.raises(ConfigError, match="1,000 times"):
        firing.between(
            night("* * * * *"),
            datetime(2026, 1, 1, tzinfo=UTC),
            datetime(2026, 1, 2, tzinfo=UTC),
        )


def test_what_fires_every_minute_is_simulated_across_a_change_too() -> None:
    often = night("* * * * *", timezone="Europe/Berlin")
    (change,) = firing.clock_changes(often, datetime(2026, 10, 1, tzinfo=UTC))[:1]
    assert 100 < len(change.firings) <= 4 * 60 + 1
