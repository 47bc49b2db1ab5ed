"""What the Ray under way has to offer, and how workers share it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ganlib.cluster.session import is_local
from ganlib.config import ClusterConfig
from ganlib.errors import ConfigError

AT_MOST = {"CPU": "GANLIB_RAY_CPUS", "GPU": "GANLIB_RAY_GPUS"}
"""What a cluster has when its autoscaler has brought all it may; read by whoever places workers."""

LATE_S, POLL_S = 60.0, 1.0


@dataclass(frozen=True)
class Devices:
    """`cpus` and `gpus` are the whole cluster's; `threads` a worker's."""

    kind: Literal["cpu", "cuda"]
    cpus: int
    gpus: int
    threads: int
    strict: bool = False

    @classmethod
    def of(cls, cluster: ClusterConfig, fewest: int | None = None) -> Devices:
        """Of the session under way; raises ConfigError when cuda is asked for and not there.

        Nodes of a cluster that was joined may come a minute after its head, as when that was lost:
        those of all workers are waited for, or of `fewest`.
        """
        import ray

        there, wanted = ray.cluster_resources(), (fewest or cluster.workers) * cluster.threads
        end = time.monotonic() + (0.0 if is_local() else LATE_S)
        while max(there.get("CPU", 0), _promised("CPU")) < wanted and time.monotonic() < end:
            time.sleep(POLL_S)
            there = ray.cluster_resources()
        return cls.among(there, cluster)

    @classmethod
    def among(cls, there: Mapping[str, float], cluster: ClusterConfig) -> Devices:
        """`there` is what is up. Nodes that come when they are asked for are counted as well."""
        cpus, gpus = (max(int(there.get(name, 0)), _promised(name)) for name in AT_MOST)
        if cluster.device == "cuda" and not gpus:
            raise ConfigError(
                "cluster.device is cuda, and Ray sees no GPU",
                where="cluster.device",
                hint="set it to auto, or check nvidia-smi and CUDA_VISIBLE_DEVICES",
            )
        kind: Literal["cpu", "cuda"] = "cuda" if gpus and cluster.device != "cpu" else "cpu"
        return cls(kind, cpus, gpus, cluster.threads, strict=cluster.device == "cuda")

    def workers(self, asked: int, batch: int, fewest: int | None = None) -> int:
        """How many of the `asked` workers there are places for, or may be: `fewest` are enough.

        One GPU serves one worker: with `device: auto` fewer GPUs mean fewer workers, which shows in
        no result, as the batch is that of all workers together. Raises ConfigError where there is
        not enough.
        """
        needed = asked if fewest is None else fewest
        if self.kind == "cuda":
            if needed <= self.gpus:
                return asked
            if not self.strict:
                return max(n for n in range(1, self.gpus + 1) if batch % n == 0)
            raise ConfigError(
                f"{needed} workers want a GPU each, and there are {self.gpus}",
                where="cluster.workers",
                hint=f"set cluster.workers={self.gpus}, or cluster.device=auto",
            )
        if needed * self.threads > self.cpus:
            raise ConfigError(
                f"{needed} workers of {self.threads} threads want {needed * self.threads} CPUs, "
                f"and Ray has {self.cpus}",
                where="cluster.workers",
                hint="set fewer cluster.workers or cluster.threads",
            )
        return asked

    def side_by_side(self, workers: int) -> int:
        """How many groups of `workers` fit at once."""
        room = self.cpus // (workers * self.threads)
        if self.kind == "cuda":
            room = min(room, self.gpus // workers)
        return max(1, room)

    def of_worker(self) -> dict[str, float]:
        """The resources one worker of a fit takes."""
        return {"CPU": float(self.threads)} | ({"GPU": 1.0} if self.kind == "cuda" else {})

    def trials(self, concurrent: int) -> int:
        """How many trials run at once: never more than have a place, so that none waits for ever
        for one that a retried trial of lower number needs."""
        return max(1, min(concurrent, self.cpus // self.threads))

    def of_trial(self, at_once: int) -> dict[str, float]:
        """The resources one trial takes; trials share GPUs."""
        if self.kind == "cpu":
            return {"CPU": self.threads}
        share = min(1.0, self.gpus / at_once)
        return {"CPU": self.threads, "GPU": math.floor(share * 1000) / 1000}


def _promised(name: str) -> int:
    told = os.environ.get(AT_MOST[name], "0")
    if not told.isdecimal():
        raise ConfigError(f"{AT_MOST[name]}={told!r} is no number", where=AT_MOST[name])
    return int(told)
