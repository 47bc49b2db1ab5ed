"""Whether a run that the clock started shall run, decided when its turn comes.

Prefect's concurrency limit lets a schedule run once at a time and queues the rest; its other
strategy, to cancel what collides, would cancel backfilled runs as well. So what is skipped is
skipped here, the same on every kind of worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.schedules import SKIPPED, CatchUp, Overlap

logger = logging.getLogger("ganlib.flows")

GRACE = timedelta(minutes=5)
"""So late a run is at most where a worker was there and free."""

BACKFILLED, CAUGHT_UP = "backfilled", "caught-up"
"""Tags of runs that no clock started: asked for, and made for what fell due meanwhile."""

POLL_S = 15.0
NEIGHBOURS = 100


@dataclass(frozen=True)
class Run:
    """`due` is the date it is for; a run that has not ended has no `ended`."""

    due: datetime
    started: datetime | None = None
    ended: datetime | None = None
    skipped: bool = False
    by_clock: bool = True


def reason_to_skip(
    mine: Run,
    others: Sequence[Run],
    now: datetime,
    *,
    overlap: Overlap,
    catch_up: CatchUp,
    beside: Sequence[Run] = (),
) -> str:
    """Empty when the run shall run. `others` are those of the same schedule, `beside` all that
    its workers ran.

    A run was *missed* when it is late although nothing ran at the moment it was due: there was no
    worker then.
    """
    if not mine.by_clock:
        return ""
    ran = [run for run in others if not run.skipped and _running_at(run, mine.due)]
    if ran and overlap == "skip":
        return f"the run of {ran[0].due:%Y-%m-%d %H:%M} UTC still ran"
    newer = [run for run in others if run.by_clock and mine.due < run.due <= now]
    worked = ran or any(_running_at(run, mine.due) for run in beside)
    missed = not worked and now - mine.due > GRACE
    if newer and (overlap == "cancel" or (missed and catch_up == "latest")):
        return f"that of {max(run.due for run in newer):%Y-%m-%d %H:%M} UTC is due as well"
    if missed and catch_up == "none":
        return f"missed: its turn came only at {now:%Y-%m-%d %H:%M} UTC"
    return ""


def _running_at(run: Run, moment: datetime) -> bool:
    begun = run.started is not None and run.started <= moment
    return begun and (run.ended is None or moment < run.ended)


def ask(flow_run_id: str, *, overlap: Overlap, catch_up: CatchUp) -> str:
    """`reason_to_skip` of a run that has begun, from what the server knows of its schedule.

    A run that is tried again, by a click in Prefect's page or after a crash, is wanted.
    """
    from prefect.client.orchestration import get_client

    client: Any = get_client(sync_client=True)
    with client:
        found = client.read_flow_run(flow_run_id)
        if found.deployment_id is None or found.run_count > 1:
            return ""
        mine, now = _run(found), datetime.now(UTC)
        others = [_run(one) for one in _neighbours(client, found) if one.id != found.id]
        beside = [_run(one) for one in _begun(client, found)] if now - mine.due > GRACE else []
    return reason_to_skip(mine, others, now, overlap=overlap, catch_up=catch_up, beside=beside)


@contextmanager
def giving_way(flow_run_id: str, overlap: Overlap) -> Iterator[None]:
    """With `cancel`, ask every 15 s whether a later run waits, and be cancelled then.

    The worker ends this process as it does for a click on Cancel in Prefect's page, so the run
    is open to be continued, which the one that waits does.
    """
    if overlap != "cancel":
        yield
        return
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(flow_run_id, over), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()


def _watch(flow_run_id: str, over: threading.Event) -> None:
    while not over.wait(POLL_S):
        try:
            if give_way(flow_run_id):
                return
        except Exception as error:  # the next look may succeed
            logger.warning("no look at later runs: %r", error)


def give_way(flow_run_id: str) -> bool:
    """Cancel the run if a later one of its schedule is due and waits."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling

    client: Any = get_client(sync_client=True)
    with client:
        mine = client.read_flow_run(flow_run_id)
        now = datetime.now(UTC)
        waiting = [
            one
            for one in _neighbours(client, mine)
            if _by_clock(one)
            and one.state.is_scheduled()
            and mine.expected_start_time < one.expected_start_time <= now
        ]
        if not waiting:
            return False
        due = min(one.expected_start_time for one in waiting)
        state = Cancelling(message=f"It gives way to the run of {due:%Y-%m-%d %H:%M} UTC.")
        client.set_flow_run_state(flow_run_id, state)
    return True


def _neighbours(client: Any, run: Any) -> list[Any]:
    """The newest runs of the same deployment that are due."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterDeploymentId,
        FlowRunFilterExpectedStartTime,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    found: list[Any] = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=NEIGHBOURS,
    )
    return found


def _begun(client: Any, run: Any) -> list[Any]:
    """What the workers of its pool had begun when it was due, of any schedule: the newest."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterStartTime,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    if run.work_pool_name is None:
        return []
    found: list[Any] = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            start_time=FlowRunFilterStartTime(before_=run.expected_start_time)
        ),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[run.work_pool_name])),
        sort=FlowRunSort.START_TIME_DESC,
        limit=NEIGHBOURS,
    )
    return found


def _by_clock(told: Any) -> bool:
    return bool(told.auto_scheduled) or CAUGHT_UP in told.tags


def _run(told: Any) -> Run:
    """The end of a crashed run is when somebody found it, so it counts as having run no time."""
    crashed = told.state is not None and told.state.is_crashed()
    return Run(
        due=told.expected_start_time,
        started=told.start_time,
        ended=told.start_time if crashed else told.end_time,
        skipped=told.state is not None and told.state.name == SKIPPED,
        by_clock=_by_clock(told),
    )
