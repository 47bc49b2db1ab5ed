"""Which failures are tried again, and that nothing is cached."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from flows import tasks
from flows.policy import DELAYS_S, RETRIES, stage_task, tries
from ganlib.cluster.verdicts import from_dict, to_dict
from ganlib.errors import (
    Busy,
    Collapsed,
    ConfigError,
    Damaged,
    DataError,
    Diverged,
    HomeError,
    NotFound,
    OutOfMemory,
    Refused,
    StageFailed,
    StorageError,
    WorkersLost,
)
from ganlib.storage import atomic


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (StorageError("the bucket does not answer"), 3),
        (ConnectionError("reset"), 3),
        (WorkersLost("a node went"), 2),
        (OutOfMemory("ended by Ray"), 1),
        (Damaged("a shard"), 0),
        (Busy("somebody else"), 0),
        (ConfigError("a key"), 0),
        (DataError("an image"), 0),
        (HomeError("read-only"), 0),
        (NotFound("a model"), 0),
        (Diverged(100, "loss"), 0),
        (Collapsed(100, "collapsed (pixels/repeated)"), 0),
        (Refused("worse"), 0),
        (StageFailed("died"), 0),
        (ValueError("a bug"), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_class_of_failure_has_its_tries(error: Exception, more: int) -> None:
    told = pickle.loads(pickle.dumps(error)), *([from_dict(to_dict(error))] if more else [])
    assert tries(error) == tries(told[0]) == more
    assert isinstance(error, ConnectionError) or tries(told[-1]) == more


@pytest.mark.parametrize(
    ("number", "more"),
    [
        (errno.EIO, 3),
        (errno.ENOSPC, 0),
        (errno.EDQUOT, 0),
        (errno.EROFS, 0),
        (errno.EACCES, 0),
    ],
)
def test_a_disk_that_stays_as_it_is_is_not_tried_again(number: int, more: int) -> None:
    cause = OSError(number, "as the system says it")
    error = atomic.explain(cause, Path("/home/shards"))
    error.__cause__ = cause
    abroad = pickle.loads(pickle.dumps(error)), from_dict(to_dict(error))  # Prefect's way, Ray's
    for told in (error, *abroad):
        assert tries(told) == more


@pytest.mark.parametrize(
    ("error", "runs"),
    [
        (StorageError("the bucket does not answer"), 4),
        (WorkersLost("a node went"), 3),
        (OutOfMemory("ended by Ray"), 2),
        (ConfigError("a key"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_prefect_runs_a_task_as_often(prefect_home: Path, error: Exception, runs: int) -> None:
    from prefect import flow

    begun: list[int] = []

    @stage_task("fails")
    def fails() -> None:
        begun.append(1)
        raise error

    @flow(name="fails", persist_result=False)
    def whole() -> None:
        fails.with_options(retry_delay_seconds=0)()  # type: ignore[attr-defined]

    with pytest.raises(type(error)):
        whole()
    assert len(begun) == runs


@pytest.mark.parametrize("name", ["prepare", "classifiers", "sweep", "gan", "evaluate", "promote"])
def test_every_stage_is_a_task_without_cache(name: str) -> None:
    task = getattr(tasks, name)
    assert task.name == name
    assert type(task.cache_policy).__name__ == "_None"
    assert task.persist_result is False
    assert task.retries == RETRIES == len(DELAYS_S)
