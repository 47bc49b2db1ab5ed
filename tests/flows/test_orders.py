"""Schedules on a real server: what it makes of them, and runs for dates gone by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import admission, firing, orders
from flows.schedules import POOL, Schedule, changed, named
from ganlib.config import load_recipe
from ganlib.errors import NotFound

CHANGE = date(2026, 10, 25)  # clocks go back in Berlin


@pytest.fixture
def night(prefect_home: Path, request: pytest.FixtureRequest) -> Iterator[Schedule]:
    """A schedule of this test's own, deployed."""
    schedule = Schedule(
        name="".join(c for c in request.node.name if c.isalnum()),
        config=load_recipe("digits"),
        cron="30 2 * * *",
        timezone="Europe/Berlin",
        since=datetime(2026, 10, 1, tzinfo=UTC),
    )
    orders.deploy(schedule, prefect_home)
    yield schedule
    orders.withdraw(schedule.name)


def client() -> Any:
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)


def deployed(schedule: Schedule) -> Any:
    with client() as there:
        return there.read_deployment_by_name(f"scheduled/{schedule.name}")


def runs(schedule: Schedule) -> list[Any]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
    from prefect.client.schemas.sorting import FlowRunSort

    wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployed(schedule).id]))
    with client() as there:
        found: list[Any] = there.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC
        )
        return found


def make_due(schedule: Schedule, start: datetime, end: datetime) -> list[Any]:
    """Let the server's own scheduler make the runs of a time."""
    body = {"start_time": start.isoformat(), "end_time": end.isoformat(), "min_runs": 100}
    with client() as there:
        there.request("POST", f"/deployments/{deployed(schedule).id}/schedule", json=body)
    return runs(schedule)


def test_a_deployment_says_when_where_and_how_many_at_once(
    prefect_home: Path, night: Schedule
) -> None:
    found = deployed(night)
    (clock,) = found.schedules
    assert (clock.schedule.cron, clock.schedule.timezone) == (night.cron, night.timezone)
    assert (clock.slug, clock.active) == ("clock", True)
    assert found.work_pool_name == POOL
    assert found.global_concurrency_limit.limit == 1
    assert found.concurrency_options.collision_strategy == "ENQUEUE"
    assert found.entrypoint == "flows.scheduled.scheduled"
    assert found.parameters["config"] == night.config.model_dump(mode="json")
    assert found.parameters["home"] == str(prefect_home)
    assert found.parameters["overlap"] == "skip"


@pytest.mark.slow
def test_a_changed_schedule_stays_one_deployment(prefect_home: Path, night: Schedule) -> None:
    before = deployed(night)
    orders.deploy(changed(night, cron="0 4 * * *", overlap="queue"), prefect_home)
    after = deployed(night)
    assert after.id == before.id
    assert [one.schedule.cron for one in after.schedules] == ["0 4 * * *"]
    assert after.parameters["overlap"] == "queue"


def test_the_server_fires_when_the_simulation_says(night: Schedule) -> None:
    start, end = firing.days(night, CHANGE - timedelta(days=15), CHANGE + timedelta(days=15))
    made = make_due(night, start, end)
    simulated = firing.simulate(night, start, len(made))
    assert len(made) == 31
    assert [run.expected_start_time.timestamp() for run in made] == [
        one.utc.timestamp() for one in simulated
    ]


def test_five_dates_twice_are_five_runs(night: Schedule) -> None:
    dates = firing.between(night, *firing.days(night, date(2026, 10, 23), date(2026, 10, 27)))
    first, again = orders.backfill(night, dates), orders.backfill(night, dates)
    assert [one.made for one in first] == [True] * 5
    assert [one.made for one in again] == [False] * 5
    assert [one.run for one in first] == [one.run for one in again]
    there = runs(night)
    assert [str(run.id) for run in there] == [one.run for one in first]
    assert [run.expected_start_time.timestamp() for run in there] == [d.timestamp() for d in dates]
    assert there[0].name == f"{night.name} 2026-10-23 02:30"


def test_a_date_that_the_clock_ran_is_not_run_again(night: Schedule) -> None:
    start, end = firing.days(night, date(2026, 10, 24), date(2026, 10, 25))
    by_clock = make_due(night, start, end)
    assert len(by_clock) == 2
    dates = firing.between(night, start - timedelta(days=1), end)
    done = orders.backfill(night, dates)
    assert [one.made for one in done] == [True, False, False]
    assert len(runs(night)) == 3


def test_a_date_that_was_left_out_is_backfilled_once_and_not_caught_up(night: Schedule) -> None:
    from prefect.states import Completed

    (date,) = firing.between(night, *firing.days(night, CHANGE, CHANGE))
    (skipped,) = orders.backfill(night, [date], tag=admission.CAUGHT_UP)
    with client() as there:
        there.set_flow_run_state(skipped.run, Completed(name="Skipped"), force=True)
    assert not orders.backfill(night, [date], tag=admission.CAUGHT_UP)[0].made
    (done,) = orders.backfill(night, [date])
    (again,) = orders.backfill(night, [date])
    assert (done.made, again.made) == (True, False)
    assert done.run == again.run != skipped.run
    assert len(runs(night)) == 2


def test_a_pause_takes_the_runs_to_come_away(prefect_home: Path, night: Schedule) -> None:
    now = datetime.now(UTC)
    assert make_due(night, now, now + timedelta(days=3))
    orders.deploy(changed(night, paused=True), prefect_home)
    assert not deployed(night).schedules[0].active
    assert runs(night) == []


def test_a_pause_in_the_page_is_heard_unless_the_schedule_was_changed_here(
    prefect_home: Path, night: Schedule
) -> None:
    assert orders.heard(night, prefect_home) == night
    never_told = changed(night, name="never-told")
    assert orders.heard(never_told, prefect_home) == never_told
    found = deployed(night)
    with client() as there:
        there.update_deployment_schedule(found.id, found.schedules[0].id, active=False)
    paused = orders.heard(night, prefect_home)
    assert paused == changed(night, paused=True)
    assert orders.keep_up(night, prefect_home) == paused  # as a backfill does, which is no change
    assert not deployed(night).schedules[0].active
    assert named(prefect_home, night.name) == paused
    assert orders.heard(paused, prefect_home) == paused
    # Resumed here while no server was there: what is in the page is older.
    resumed = changed(night, paused=False)
    assert orders.heard(resumed, prefect_home) == resumed
    found = deployed(night)
    with client() as there:
        there.update_deployment_schedule(found.id, found.schedules[0].id, active=True)
    again = orders.heard(paused, prefect_home)
    assert not again.paused
    assert again.since > night.since  # what fell due meanwhile was not missed


def test_what_was_missed_is_caught_up_as_it_is_set(prefect_home: Path, night: Schedule) -> None:
    now = datetime(2026, 10, 20, tzinfo=UTC)
    nights = changed(night, since=(now - timedelta(days=4)).isoformat())
    assert orders.catch_up(changed(nights, catch_up="none"), now) == []
    assert len(orders.catch_up(nights, now)) == 1
    assert len(orders.catch_up(changed(nights, catch_up="all"), now)) == 3
    assert orders.catch_up(changed(nights, catch_up="all"), now) == []
    assert len(runs(night)) == 4
    often = changed(nights, cron="* * * * *")
    assert [one.date.timestamp() for one in orders.catch_up(often, now)] == [now.timestamp()]


def test_of_missed_nights_the_latest_runs(night: Schedule) -> None:
    start, end = firing.days(night, date(2026, 10, 20), date(2026, 10, 22))
    made = make_due(night, start, end)
    told = [admission.ask(str(run.id), overlap="skip", catch_up="latest") for run in made]
    assert [bool(reason) for reason in told] == [True, True, False]
    assert told[0] == "that of 2026-10-22 00:30 UTC is due as well"


def test_the_flow_ends_as_skipped_with_the_reason(prefect_home: Path, night: Schedule) -> None:
    from prefect.flow_engine import run_flow

    from flows.scheduled import scheduled

    start, end = firing.days(night, date(2026, 10, 20), date(2026, 10, 20))
    (run,) = make_due(night, start, end)
    state: Any = run_flow(
        scheduled,  # type: ignore[arg-type]
        flow_run=run,
        parameters={"config": night.config, "home": str(prefect_home), "catch_up": "none"},
        return_type="state",
    )
    assert (state.type.value, state.name) == ("COMPLETED", "Skipped")
    assert state.message.startswith("missed: its turn came only at")
    assert not list((prefect_home / "runs").glob(f"**/*{night.name}*"))


def test_a_run_that_is_tried_again_is_wanted(night: Schedule) -> None:
    from prefect.states import Failed, Running

    start, end = firing.days(night, date(2026, 10, 20), date(2026, 10, 20))
    (old,) = make_due(night, start, end)
    with client() as there:
        there.set_flow_run_state(old.id, Running(), force=True)
        there.set_flow_run_state(old.id, Failed(), force=True)
        assert admission.ask(str(old.id), overlap="skip", catch_up="none")
        there.set_flow_run_state(old.id, Running(), force=True)
        assert not admission.ask(str(old.id), overlap="skip", catch_up="none")


@pytest.mark.slow
def test_a_run_gives_way_to_a_later_one_that_waits(night: Schedule) -> None:
    from prefect.states import Running

    start, end = firing.days(night, date(2026, 10, 20), date(2026, 10, 21))
    old, new = make_due(night, start, end)
    with client() as there:
        there.set_flow_run_state(old.id, Running(), force=True)
        assert admission.give_way(str(old.id))
        state = there.read_flow_run(old.id).state
        assert state.type.value == "CANCELLING"
        assert "2026-10-21 00:30 UTC" in state.message
        there.set_flow_run_state(new.id, Running(), force=True)
        assert not admission.give_way(str(new.id))


@pytest.mark.slow
def test_another_work_pool_must_be_there(prefect_home: Path, night: Schedule) -> None:
    with pytest.raises(NotFound, match="'elsewhere'") as caught:
        orders.deploy(changed(night, work_pool="elsewhere"), prefect_home)
    assert "prefect work-pool create elsewhere" in caught.value.hint


def test_a_schedule_that_is_gone_is_gone(prefect_home: Path, night: Schedule) -> None:
    assert orders.withdraw(night.name)
    assert not orders.withdraw(night.name)
    with pytest.raises(NotFound, match="not on this Prefect server"):
        orders.backfill(night, [datetime(2026, 10, 20, tzinfo=UTC)])


def test_what_was_removed_while_no_server_was_there_runs_no_more(
    prefect_home: Path, night: Schedule, tmp_path: Path
) -> None:
    make_due(night, datetime.now(UTC), datetime.now(UTC) + timedelta(days=3))
    assert orders.withdraw_gone(tmp_path, []) == []  # another home's
    assert orders.withdraw_gone(prefect_home, [night.name]) == []
    assert orders.withdraw_gone(prefect_home, []) == [night.name]
    assert not orders.withdraw(night.name)


def test_a_schedule_made_anew_has_runs_of_its_own(prefect_home: Path, night: Schedule) -> None:
    date = datetime(2026, 10, 20, 0, 30, tzinfo=UTC)
    (before,) = orders.backfill(night, [date])
    orders.withdraw(night.name)
    orders.deploy(night, prefect_home)
    (after,) = orders.backfill(night, [date])
    assert before.made
    assert after.made
    assert before.run != after.run


def test_what_its_pool_had_begun_by_then_is_found(night: Schedule) -> None:
    """Of any schedule: it tells that a worker was there."""
    from prefect.states import Running

    start, end = firing.days(night, date(2026, 10, 20), date(2026, 10, 20))
    (run,) = make_due(night, start, end)
    assert admission.ask(str(run.id), overlap="skip", catch_up="none").startswith("missed")
    with client() as there:
        there.set_flow_run_state(run.id, Running(), force=True)
        now = datetime.now(UTC)

        def begun(pool: str | None, due: datetime) -> list[Any]:
            mine = SimpleNamespace(work_pool_name=pool, expected_start_time=due)
            return [one.id for one in admission._begun(there, mine)]

        assert run.id in begun(POOL, now + timedelta(minutes=1))
        assert run.id not in begun(POOL, now - timedelta(days=1))
        assert begun("elsewhere", now) == begun(None, now) == []
