"""What all flows and tasks share: no caching, no stored results, and who is tried again."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from ganlib.errors import Busy, Damaged, OutOfMemory, StorageError, WorkersLost

P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 3
DELAYS_S = [2, 10, 60]
# A disk that is full, read-only or not ours is still so in a minute.
LASTING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def stage_task(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A task that makes one call; ganlib's records and not Prefect's cache remember it."""
    decorate = task(
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=RETRIES,
        retry_delay_seconds=DELAYS_S,
        retry_condition_fn=_worth_another_try,
        log_prints=False,
    )
    return cast(Callable[[Callable[P, R]], Callable[P, R]], decorate)


def stage_flow(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A flow whose runs are named for the configuration they run."""
    decorate = flow(
        name=name, flow_run_name="{config.name}", persist_result=False, validate_parameters=True
    )
    return cast(Callable[[Callable[P, R]], Callable[P, R]], decorate)


def tries(error: object) -> int:
    """How many more a failure of this class is worth; each goes on where the one before ended.

    Storage that failed may work in a minute, and a node that was taken away comes back. Memory that
    others took may be free once; a wrong input or a diverged loss stays as it is.
    """
    match error:
        case Damaged() | Busy():
            return 0
        case StorageError() if error.errno in LASTING:
            return 0
        case StorageError() | ConnectionError():
            return RETRIES
        case WorkersLost():
            return 2
        case OutOfMemory():
            return 1
        case _:
            return 0


def _worth_another_try(task: Any, task_run: Any, state: Any) -> bool:
    return bool(task_run.run_count <= tries(state.result(raise_on_failure=False)))
