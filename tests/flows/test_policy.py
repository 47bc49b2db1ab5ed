"""Which failures are tried again, and that nothing is cached."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
from prefect.states import Failed

from flows import tasks
from flows.policy import DELAYS_S, RETRIES, _worth_another_try
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
    Refused,
    StageFailed,
    StorageError,
)
from ganlib.storage import atomic


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (StorageError("the bucket does not answer"), True),
        (ConnectionError("reset"), True),
        (Damaged("a shard"), False),
        (Busy("somebody else"), False),
        (ConfigError("a key"), False),
        (DataError("an image"), False),
        (HomeError("read-only"), False),
        (NotFound("a model"), False),
        (Diverged(100, "loss"), False),
        (Collapsed(100, "collapsed (pixels/repeated)"), False),
        (Refused("worse"), False),
        (StageFailed("died"), False),
        (ValueError("a bug"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_storage_is_tried_again(error: Exception, again: bool) -> None:
    assert _worth_another_try(None, None, Failed(data=error, message="x")) is again


@pytest.mark.parametrize(
    ("number", "again"),
    [
        (errno.EIO, True),
        (errno.ENOSPC, False),
        (errno.EDQUOT, False),
        (errno.EROFS, False),
        (errno.EACCES, False),
    ],
)
def test_a_disk_that_stays_as_it_is_is_not_tried_again(number: int, again: bool) -> None:
    cause = OSError(number, "as the system says it")
    error = atomic.explain(cause, Path("/home/shards"))
    error.__cause__ = cause
    abroad = pickle.loads(pickle.dumps(error)), from_dict(to_dict(error))  # Prefect's way, Ray's
    for told in (error, *abroad):
        assert _worth_another_try(None, None, Failed(data=told, message="x")) is again


@pytest.mark.parametrize("name", ["prepare", "classifiers", "sweep", "gan", "evaluate", "promote"])
def test_every_stage_is_a_task_without_cache(name: str) -> None:
    task = getattr(tasks, name)
    assert task.name == name
    assert type(task.cache_policy).__name__ == "_None"
    assert task.persist_result is False
    assert task.retries == RETRIES == len(DELAYS_S)
