"""What a Prefect server is told of schedules: deployments, pauses, and runs for dates gone by."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flows import deployments, firing
from flows.admission import BACKFILLED, CAUGHT_UP
from flows.schedules import POOL, SKIPPED, Schedule, changed, keep
from ganlib.config import Config
from ganlib.errors import ConfigError, NotFound, StorageError
from ganlib.storage import read_json, write_json
from ganlib.training import process_started

PAGE = 200
CAUGHT_UP_AT_MOST = timedelta(days=31)


class Dated(Config):
    """The one run of a date. `made` is whether this call made it."""

    date: datetime
    run: str
    state: str
    made: bool


@contextmanager
def serving(home: Path, api_url: str) -> Iterator[None]:
    """While the block lasts, other commands on this home find the server of `schedule serve`."""
    note = _note(home)
    told = {"pid": os.getpid(), "started": process_started(os.getpid()), "api_url": api_url}
    write_json(note, told)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def server_of(home: Path) -> str:
    """`PREFECT_API_URL`, or the server a live `schedule serve` of this home has; empty if none."""
    named = os.environ.get("PREFECT_API_URL")
    if named:
        return named
    try:
        told = read_json(_note(home))
        alive = process_started(int(told["pid"])) == told["started"]
        return str(told["api_url"]) if alive else ""
    except (OSError, StorageError, KeyError, ValueError, TypeError):
        return ""


def _note(home: Path) -> Path:
    return home / "prefect" / "serving.json"


def deploy(schedule: Schedule, home: Path) -> str:
    """Make or change its deployment; the id. Raises NotFound when its work pool is not there.

    The pool of `schedule serve` is made; another is somebody's own kind of infrastructure.
    """
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    with _client() as client:
        try:
            client.read_work_pool(schedule.work_pool)
        except ObjectNotFound:
            if schedule.work_pool != POOL:
                raise NotFound(
                    f"there is no work pool {schedule.work_pool!r} on this Prefect server",
                    where=schedule.work_pool,
                    hint=f"prefect work-pool create {schedule.work_pool} --type kubernetes; or "
                    "leave --work-pool out and let ganlib schedule serve run it",
                ) from None
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    made = str(deployments.deployment(schedule, home).apply())
    write_json(_told(home, schedule.name), {"deployment": made, "paused": schedule.paused})
    return made


def heard(schedule: Schedule, home: Path) -> Schedule:
    """The schedule, paused or resumed if Prefect's page paused or resumed it meanwhile.

    That is known from what this server was told last; a schedule that was changed here since is
    left as it is.
    """
    try:
        told = read_json(_told(home, schedule.name))
    except (OSError, StorageError):  # never told, or illegible
        return schedule
    with _client() as client:
        found = _found(client, schedule.name)
    if found is None or told != {"deployment": str(found.id), "paused": schedule.paused}:
        return schedule
    paused = found.paused or not any(one.active for one in found.schedules)
    if paused == schedule.paused:
        return schedule
    if paused:
        return changed(schedule, paused=True)
    now = datetime.now(UTC).replace(microsecond=0)
    return changed(schedule, paused=False, since=now.isoformat())


def keep_up(schedule: Schedule, home: Path) -> Schedule:
    """Deploy it as it was `heard` to be, which is written down first; raises as `deploy` does."""
    now = heard(schedule, home)
    if now != schedule:
        keep(home, now)
    deploy(now, home)
    return now


def _told(home: Path, name: str) -> Path:
    return home / "prefect" / "told" / f"{name}.json"


def withdraw(name: str) -> bool:
    """Delete its deployment and the runs to come; whether there was one."""
    with _client() as client:
        found = _found(client, name)
        if found is not None:
            client.delete_deployment(found.id)
    return found is not None


def withdraw_gone(home: Path, names: Collection[str]) -> list[str]:
    """Delete what this home once had our own pool run under none of `names`; what it was.

    A schedule was removed, or given to another pool, while no server was there to be told.
    """
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        WorkPoolFilter,
        WorkPoolFilterName,
    )

    with _client() as client:
        found = client.read_deployments(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[deployments.FLOW])),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
            limit=PAGE,
        )
        gone = [one for one in found
                if one.parameters.get("home") == str(home) and one.name not in names]  # fmt: skip
        for one in gone:
            client.delete_deployment(one.id)
    return [one.name for one in gone]


def backfill(
    schedule: Schedule, dates: Sequence[datetime], *, tag: str = BACKFILLED
) -> list[Dated]:
    """One run for each date: what is there already, by whomever, is left as it is.

    A run that was left out ran nothing: that date is backfilled, though not caught up. Its
    deployment must be there. Runs are due at their dates, so a worker takes the oldest first.
    """
    from prefect.states import Scheduled

    done: list[Dated] = []
    with _client() as client:
        deployment = _found(client, schedule.name)
        if deployment is None:
            raise NotFound(f"{schedule.name} is not on this Prefect server", where=schedule.name)
        there = _runs(client, deployment.id, dates)
        for date in dates:
            utc = date.astimezone(UTC)
            run, key = there.get(utc), f"{deployment.id} {utc.isoformat()}"
            if run is not None and tag == BACKFILLED and _left_out(run):
                key = f"{key} {run.id}"
                run = None
            made = run is None
            if run is None:
                run = client.create_flow_run_from_deployment(
                    deployment.id,
                    name=f"{schedule.name} {date:%Y-%m-%d %H:%M}",
                    state=Scheduled(scheduled_time=utc, message=f"{tag.capitalize()}."),
                    tags=[tag],
                    idempotency_key=key,
                )
            state = run.state.name if run.state else ""
            done.append(Dated(date=date, run=str(run.id), state=state, made=made))
    return done


def catch_up(schedule: Schedule, now: datetime) -> list[Dated]:
    """Runs for what fell due while no server made any: all of it or the latest, as it is set.

    Prefect makes runs some days ahead, so this matters after longer times without one. Which of
    those that wait are left out is decided when their turn comes.
    """
    if schedule.catch_up == "none" or schedule.paused:
        return []
    try:
        dates = firing.between(schedule, max(schedule.since, now - CAUGHT_UP_AT_MOST), now)
    except ConfigError:  # of what runs every few minutes nobody wants a month
        dates = firing.between(schedule, max(schedule.since, now - timedelta(hours=12)), now)
    wanted = dates if schedule.catch_up == "all" else dates[-1:]
    return [one for one in backfill(schedule, wanted, tag=CAUGHT_UP) if one.made]


def _found(client: Any, name: str) -> Any:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(f"{deployments.FLOW}/{name}")
    except ObjectNotFound:
        return None


def _runs(client: Any, deployment: Any, dates: Sequence[datetime]) -> dict[datetime, Any]:
    """Date -> its run, whoever made it; one that was left out only where there is no other."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterDeploymentId,
        FlowRunFilterExpectedStartTime,
    )

    if not dates:
        return {}
    times = [date.astimezone(UTC) for date in dates]
    wanted = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        expected_start_time=FlowRunFilterExpectedStartTime(after_=min(times), before_=max(times)),
    )
    found: dict[datetime, Any] = {}
    for offset in range(0, 100 * PAGE, PAGE):
        page = client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=offset)
        for run in page:
            time = datetime.fromtimestamp(run.expected_start_time.timestamp(), UTC)
            if time not in found or _left_out(found[time]):
                found[time] = run
        if len(page) < PAGE:
            break
    return {time: run for time, run in found.items() if time in set(times)}


def _left_out(run: Any) -> bool:
    return run.state is not None and run.state.name == SKIPPED


def _client() -> Any:
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)
