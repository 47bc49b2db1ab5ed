"""Parts of an evaluation on Ray's processes."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.cluster.devices import Devices
from ganlib.cluster.session import in_threads, ray_session
from ganlib.config import ClusterConfig
from ganlib.errors import GanlibError, OutOfMemory, StageFailed, WorkersLost

REST_S = 60.0  # so long those that still run are waited for after one has failed

# What this process held before its first part, with torch loaded.
_idle_mb: float | None = None


@dataclass(frozen=True)
class Spent:
    """By one process so far: the most memory it ever held, before its parts and with them."""

    idle_mb: float
    peak_mb: float
    cpu_s: float


class RayWorkers:
    """`evaluation.Workers`: `cluster.workers` tasks at a time, each in a process of its own.

    Ray is that of the `ray_session` around it, or one of its own with `log`. `spent` is by node and
    process, of which each serves many parts.
    """

    def __init__(self, cluster: ClusterConfig, log: Path) -> None:
        self.cluster, self.log = cluster, log
        self.spent: dict[str, Spent] = {}

    @property
    def width(self) -> int:
        return self.cluster.workers

    def each(self, work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
        """A part whose process is lost is done again, `cluster.max_failures` times.

        Where one fails those that run come to their end first, or a retry would share their memory.
        Raises what `work` raises of ours as itself, and StageFailed for anything else.
        """
        with ray_session(self.cluster, log=self.log):
            (done,) = in_threads([(self._all, (work, jobs))])
            told = done.result()
        for _, process, part in told:
            known = self.spent.get(process, Spent(part.idle_mb, 0.0, 0.0))
            self.spent[process] = Spent(
                part.idle_mb, max(part.peak_mb, known.peak_mb), part.cpu_s + known.cpu_s
            )
        return [value for value, _, _ in told]

    def _all(self, work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
        import ray
        from ray.exceptions import RayError

        asked = Devices.of(self.cluster, self.cluster.min_workers).of_worker()
        part = ray.remote(
            num_cpus=asked["CPU"],
            num_gpus=asked.get("GPU", 0.0),
            max_retries=self.cluster.max_failures,
        )(_part)
        waiting: dict[Any, int] = {}
        told: list[Any] = [None] * len(jobs)
        left = list(reversed(list(enumerate(jobs))))
        try:
            while left or waiting:
                # No more at a time than asked for: each holds features in memory.
                while left and len(waiting) < self.width:
                    place, job = left.pop()
                    waiting[part.remote(work, job)] = place
                ready, _ = ray.wait(list(waiting), num_returns=1)
                for reference in ready:
                    place = waiting.pop(reference)
                    told[place] = ray.get(reference)
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, GanlibError):
                raise cause from None
            raise _kind(error)(
                f"a part of the evaluation failed: {str(cause or error).strip()[-500:]}",
                where="evaluate",
                hint=f"if its process was ended for lack of memory, set fewer cluster.workers; "
                f"Ray's messages: {self.log}",
            ) from error
        finally:
            _await(waiting)
        return told


def _await(references: Collection[Any]) -> None:
    """Until they have ended. Nothing is cancelled: where a task ends in that very moment, its end
    and the cancellation both close it, and Ray aborts this process for the second.
    """
    import ray

    if references:
        ray.wait(list(references), num_returns=len(references), timeout=REST_S, fetch_local=False)


def _kind(error: Exception) -> type[StageFailed]:
    """What a retry may hope for."""
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    if isinstance(error, OutOfMemoryError):
        return OutOfMemory
    return WorkersLost if isinstance(error, (NodeDiedError, WorkerCrashedError)) else StageFailed


def _part(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str, Spent]:
    global _idle_mb
    _idle_mb = _held_mb() if _idle_mb is None else _idle_mb
    before = time.process_time()
    found = work(*arguments)
    spent = Spent(_idle_mb, _held_mb(), time.process_time() - before)
    return found, f"{os.uname().nodename}/{os.getpid()}", spent


def _held_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
