"""Which runs by the clock are left out when their turn comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from flows.admission import Run, _run, reason_to_skip
from flows.schedules import CatchUp, Overlap

NIGHTS = [datetime(2026, 6, day, 2, tzinfo=UTC) for day in (1, 2, 3)]
HOUR = timedelta(hours=1)
OVERLAPS: tuple[Overlap, ...] = ("skip", "queue", "cancel")
CATCH_UPS: tuple[CatchUp, ...] = ("latest", "all", "none")


def told(
    mine: Run, *others: Run, now: datetime, overlap: Overlap = "skip", catch_up: CatchUp = "latest"
) -> str:
    return reason_to_skip(mine, others, now, overlap=overlap, catch_up=catch_up)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("catch_up", CATCH_UPS)
def test_a_run_in_time_runs(overlap: Overlap, catch_up: CatchUp) -> None:
    before = Run(NIGHTS[0], NIGHTS[0], NIGHTS[0] + HOUR)
    now = NIGHTS[1] + timedelta(seconds=20)
    assert told(Run(NIGHTS[1]), before, now=now, overlap=overlap, catch_up=catch_up) == ""


@pytest.mark.parametrize(("overlap", "left_out"), zip(OVERLAPS, (True, False, False), strict=True))
@pytest.mark.parametrize("catch_up", CATCH_UPS)
def test_a_run_that_waited_for_the_one_before(
    overlap: Overlap, left_out: bool, catch_up: CatchUp
) -> None:
    """It is late, yet was not missed: a worker was there, and busy."""
    before = Run(NIGHTS[0], NIGHTS[0], NIGHTS[1] + HOUR)
    now = NIGHTS[1] + HOUR + timedelta(seconds=20)
    reason = told(Run(NIGHTS[1]), before, now=now, overlap=overlap, catch_up=catch_up)
    assert bool(reason) is left_out
    assert "2026-06-01 02:00 UTC still ran" in reason or not left_out


@pytest.mark.parametrize("catch_up", CATCH_UPS)
def test_a_run_that_waited_for_another_schedules_was_not_missed(catch_up: CatchUp) -> None:
    """A worker was there, and what it ran took its one place."""
    mine, now = Run(NIGHTS[1]), NIGHTS[1] + HOUR
    busy = Run(NIGHTS[1] - HOUR, NIGHTS[1] - HOUR, NIGHTS[1] + HOUR)
    gone = Run(NIGHTS[0], NIGHTS[0], NIGHTS[0] + HOUR)
    for beside, missed in ((busy, False), (gone, True)):
        reason = reason_to_skip(mine, (), now, overlap="skip", catch_up=catch_up, beside=[beside])
        assert bool(reason) is (missed and catch_up == "none")


@pytest.mark.parametrize("skipped", [False, True])
def test_a_run_that_was_left_out_never_ran(skipped: bool) -> None:
    before = Run(NIGHTS[0], NIGHTS[1] - HOUR, NIGHTS[1] + HOUR, skipped=skipped)
    assert bool(told(Run(NIGHTS[1]), before, now=NIGHTS[1])) is not skipped


@pytest.mark.parametrize(
    ("catch_up", "kept"), [("all", [True] * 3), ("latest", [False, False, True]), ("none", [])]
)
def test_nights_that_nobody_was_there_to_run(catch_up: CatchUp, kept: list[bool]) -> None:
    runs = [Run(night) for night in NIGHTS]
    found = [
        not told(mine, *[run for run in runs if run != mine], now=NIGHTS[2] + 5 * HOUR,
                 catch_up=catch_up)
        for mine in runs
    ]  # fmt: skip
    assert found == (kept or [False] * 3)


def test_the_latest_runs_once_whatever_order_they_are_taken_in() -> None:
    now = NIGHTS[2] + 5 * HOUR
    latest = Run(NIGHTS[2], now - HOUR, now)
    assert told(Run(NIGHTS[0]), latest, now=now)


def test_what_was_asked_for_is_never_left_out() -> None:
    mine = Run(NIGHTS[0], by_clock=False)
    running = Run(NIGHTS[0] - HOUR, NIGHTS[0] - HOUR)
    newer = Run(NIGHTS[1])
    for overlap in OVERLAPS:
        now = NIGHTS[2]
        assert told(mine, running, newer, now=now, overlap=overlap, catch_up="none") == ""


def test_with_cancel_only_the_newest_of_those_that_wait_runs() -> None:
    long = Run(NIGHTS[0] - HOUR, NIGHTS[0] - HOUR, NIGHTS[2])
    waiting = [Run(NIGHTS[0]), Run(NIGHTS[1])]
    now = NIGHTS[2] - HOUR / 60
    assert told(waiting[0], long, waiting[1], now=now, overlap="cancel")
    assert not told(waiting[1], long, waiting[0], now=now, overlap="cancel")


@pytest.mark.parametrize("crashed", [False, True])
def test_nights_after_a_power_cut_are_missed_and_not_overlapped(crashed: bool) -> None:
    """It was found days later, so the end that the server knows says nothing."""
    from prefect.states import Completed, Crashed

    found = NIGHTS[2] + 5 * HOUR
    told_by_server = SimpleNamespace(
        expected_start_time=NIGHTS[0], start_time=NIGHTS[0], end_time=found,
        state=Crashed() if crashed else Completed(), auto_scheduled=True, tags=[],
    )  # fmt: skip
    cut, last = _run(told_by_server), Run(NIGHTS[2])
    assert bool(told(last, cut, Run(NIGHTS[1]), now=found)) is not crashed
