"""A stage done by a Ray job: submitted once, watched from wherever it is asked for again.

The one that asks is a thin client. All it needs lies in the home, which every node sees; when it
dies the job goes on, and the next one that asks for the same stage of the same run attaches to it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, assert_never

from ganlib.cluster.holdings import Release
from ganlib.errors import ConfigError, GanlibError, StageFailed, WorkersLost
from ganlib.stages import orders, pipelines
from ganlib.stages.beats import beating
from ganlib.stages.context import Context
from ganlib.stages.orders import Given, Order
from ganlib.storage import Home, read_json, write_json

if TYPE_CHECKING:
    from ganlib.cluster.jobs import Job

logger = logging.getLogger("ganlib.jobs")
COMMAND = ("python", "-P", "-m", "ganlib.cli.job")  # of the head's own environment
POLL_S = 1.0
LOG_EVERY = 3
SILENCE_S = 60.0  # of a head; Ray gives up a node after half of it
STOP_S = 24.0  # Prefect kills a process that it cancels after thirty
ARRIVES_S = 3.0  # so long after its submission was interrupted a job may turn up


class Server(Protocol):
    """What is asked of `ganlib.cluster.jobs.JobServer`."""

    where: str

    def job(self, job_id: str) -> Job | None: ...
    def submit(self, job_id: str, command: Sequence[str]) -> None: ...
    def log(self, job_id: str) -> str: ...
    def stop(self, job_id: str, patience_s: float) -> Release: ...


def elsewhere() -> bool:
    """Whether stages are jobs of the Ray at RAY_ADDRESS, and not this process's own work."""
    from ganlib.cluster.jobs import address

    return bool(address())


def inside() -> bool:
    """Whether this process is such a job."""
    from ganlib.cluster import jobs

    return jobs.inside()


def perform(context: Context, run: str, given: Given, server: Server | None = None) -> None:
    """Have the stage whose run is `run` done; its record is in the home when this returns.

    Raises what the job raised; WorkersLost when the job or the head is gone, which a retry
    continues from the last snapshot; ConfigError where no job could begin. When this process is
    interrupted the job is stopped, and `release.json` says what it held and when that was free.
    """
    from ganlib.cluster.jobs import JobServer, address

    server = server or JobServer(address())
    journal = pipelines.journal(context.home, context.pipeline_id)
    with beating([journal]), _stopping(context, run, server):
        with _reaching(context, run, server):
            job = _insist(context, run, given, server)
        _watch(context, run, _Watched(job), server)


def releases(home: Home, pipeline: str) -> tuple[Release, ...]:
    """Of the jobs of a pipeline run that were stopped, oldest first."""
    found = sorted(
        (home.runs / "jobs").glob(f"{pipeline}.*/release.json"), key=lambda p: p.stat().st_mtime
    )
    return tuple(Release.model_validate(read_json(path)) for path in found)


def _insist(context: Context, run: str, given: Given, server: Server) -> str:
    """`_begin`; a head that this stage had a job on is given time to come back."""
    end = time.monotonic() + (SILENCE_S if orders.attempts(context.home, run) else 0.0)
    while True:
        try:
            return _begin(context, run, given, server)
        except ConnectionError:
            if time.monotonic() >= end:
                raise
        time.sleep(POLL_S)


def _begin(context: Context, run: str, given: Given, server: Server) -> str:
    """Attach to the job there is, or submit one: the id of either."""
    home = context.home
    known = orders.attempts(home, run)
    last = known[-1] if known else f"{run}.0"
    found = server.job(last)
    if found is not None and not found.over:
        context.say(f"attached to Ray job {last}, which goes on")
        return last
    fresh = bool(known) and found is None and orders.outcome(home, last) is None
    job = last if fresh else f"{run}.{len(known) + 1}"
    path = orders.write(
        home,
        Order(
            id=job,
            home=str(home.root),
            config=context.config,
            given=given,
            fresh=context.fresh,
            pipeline=context.pipeline_id,
            flow_run_id=context.flow_run_id,
        ),
    )
    server.submit(job, [*COMMAND, str(path)])
    context.say(f"submitted Ray job {job} to {server.where}")
    return job


@dataclass
class _Watched:
    """How much of its log is told, and since when nobody answers."""

    job: str
    told: int = 0
    silent: float | None = None
    looks: int = field(default=0)


def _watch(context: Context, run: str, watched: _Watched, server: Server) -> None:
    while True:
        try:
            found = server.job(watched.job)
            over = found is None or found.over
            if over or watched.looks % LOG_EVERY == 0:
                _tell(watched, server.log(watched.job))
            watched.silent = None
        except ConnectionError as error:
            found, over = None, False
            watched.silent = watched.silent or time.monotonic()
            if time.monotonic() - watched.silent > SILENCE_S:
                _close(context, run)
                raise _head_lost(server, str(error)) from error
        watched.looks += 1
        if over:
            _conclude(context, run, watched.job, found)
            return
        time.sleep(POLL_S)


def _tell(watched: _Watched, log: str) -> None:
    """New whole lines go to this process's log, and so to the page of the task."""
    whole = log[: log.rfind("\n") + 1]
    for line in whole[watched.told :].splitlines():
        if line.strip():
            logger.info("%s", line)
    watched.told = len(whole)


def _conclude(context: Context, run: str, job_id: str, job: Job | None) -> None:
    """Raises unless the job did its stage."""
    if job is not None and job.state == "succeeded":
        return
    _close(context, run)
    said = orders.outcome(context.home, job_id)
    if said is not None and said.error is not None:
        from ganlib.cluster.verdicts import from_dict

        raise from_dict(said.error)
    if job is None:
        raise WorkersLost(
            f"Ray does not know job {job_id} any more: its head was started anew",
            where=job_id,
            hint="the same command submits it again, and goes on from the last snapshot",
        )
    match job.state:
        case "stopped":
            raise StageFailed(
                f"somebody stopped Ray job {job_id}",
                where=job_id,
                hint="the same command goes on from the last snapshot",
            )
        case "failed" if said is None and job.exit_code is not None and job.exit_code > 0:
            last = job.message.strip().splitlines()[-1:] or ["it said nothing"]
            raise ConfigError(
                f"Ray job {job_id} could not begin on the head: {last[0]}",
                where="RAY_ADDRESS",
                hint="its nodes need ganlib, in this version and where `python` finds it, and the "
                f"home at {context.home.root}",
            )
        case "failed":
            raise WorkersLost(
                f"the process of Ray job {job_id} was killed: {job.message.strip()[-300:]}",
                where=job_id,
                hint="the same command goes on from the last snapshot",
            )
        case "pending" | "running" | "succeeded":
            raise AssertionError(job.state)
        case _:
            assert_never(job.state)


@contextmanager
def _reaching(context: Context, run: str, server: Server) -> Iterator[None]:
    """A head that nobody has reached yet is a wrong setting, one that was there may come back."""
    try:
        yield
    except ConnectionError as error:
        if orders.attempts(context.home, run):
            _close(context, run)
            raise _head_lost(server, str(error)) from error
        raise ConfigError(
            f"RAY_ADDRESS={server.where} does not answer: {error}",
            where="RAY_ADDRESS",
            hint="start the head with its dashboard, give its token in RAY_AUTH_TOKEN, or unset "
            "RAY_ADDRESS to run here",
        ) from error


def _head_lost(server: Server, told: str) -> WorkersLost:
    return WorkersLost(
        f"the head of Ray at {server.where} does not answer: {told}",
        where="RAY_ADDRESS",
        hint="start it again; the same command then goes on from the last snapshot",
    )


@contextmanager
def _stopping(context: Context, run: str, server: Server) -> Iterator[None]:
    """An interrupted client takes its job along; one that failed leaves it to be found again.

    A job is written down before it is submitted, so one whose submission was interrupted is found.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        for job in orders.attempts(context.home, run)[-1:]:
            context.say(f"stopping Ray job {job}")
            with suppress(GanlibError):
                try:
                    if _is_there(server, job):
                        _keep(context, server.stop(job, STOP_S))
                except ConnectionError as silence:
                    error.add_note(f"Ray job {job} could not be stopped: {silence}")
            _close(context, run)
        raise


def _is_there(server: Server, job: str) -> bool:
    end = time.monotonic() + ARRIVES_S
    while server.job(job) is None:
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


def _keep(context: Context, release: Release) -> None:
    path = orders.folder(context.home, release.job) / "release.json"
    write_json(path, release.model_dump(mode="json"))
    context.say(release.sentence)


def _close(context: Context, run: str) -> None:
    """The runs of a job that is gone get their end: its processes cannot give it any more."""
    from ganlib.tracking import close_all

    with suppress(GanlibError):
        close_all(context.home, run, "Killed: its Ray job is gone; the same command continues it.")
