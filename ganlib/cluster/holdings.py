"""What a Ray job holds of its cluster, as the head tells it over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import Field

from ganlib.config import Config

Ask = Callable[[str], Any]
"""A path of the head's server to its JSON."""

SHOWN = ("CPU", "GPU")


class Process(Config):
    host: str
    pid: int
    kind: str


class Holdings(Config):
    """`used` and `total` are everybody's and as old as `at`; the rest is one job's."""

    used: dict[str, float]
    total: dict[str, float]
    placement_groups: tuple[str, ...]
    processes: tuple[Process, ...]
    at: float

    @property
    def nothing(self) -> bool:
        return not self.placement_groups and not self.processes


class Release(Config):
    """A job that was stopped, and the proof that it holds nothing any more.

    `seconds_to_stop` is until its process had ended, `seconds` until all it held was free again.
    """

    job: str
    before: Holdings
    after: Holdings
    seconds_to_stop: float
    seconds: float
    free: float = Field(description="unix time")
    released: bool

    @property
    def sentence(self) -> str:
        if not self.released:
            return f"Ray job {self.job} still holds {_counted(self.after)}"
        return (
            f"Ray job {self.job} ended after {self.seconds_to_stop:.1f} s; the "
            f"{_counted(self.before)} it held were free after {self.seconds:.1f} s"
        )


def _counted(held: Holdings) -> str:
    processes, groups = len(held.processes), len(held.placement_groups)
    return f"{processes} processes and {groups} placement groups"


def of(ask: Ask, ray_id: str, known: Iterable[tuple[str, int]] = ()) -> Holdings:
    """What the job of Ray's number `ray_id` holds now.

    `known` are hosts and pids of processes that are its own if they are there.
    """
    used, total, at = _resources(ask)
    groups = tuple(
        one["placement_group_id"]
        for one in _list(ask, "placement_groups")
        if one["creator_job_id"] == ray_id and one["state"] != "REMOVED"
    )
    owned = set(known) | (_processes(ask, ray_id) if ray_id else set())
    alive = {
        (one["ip"], one["pid"]): one["worker_type"].lower()
        for one in _list(ask, "workers")
        if one["is_alive"]
    }
    processes = tuple(
        Process(host=host, pid=pid, kind=alive[host, pid])
        for host, pid in sorted(owned)
        if (host, pid) in alive
    )
    return Holdings(used=used, total=total, placement_groups=groups, processes=processes, at=at)


def _processes(ask: Ask, ray_id: str) -> set[tuple[str, int]]:
    """Of all kinds as the nodes report them now and then, and of actors, known at once.

    Not those of detached actors: Ray Train starts two such with its first fit on a cluster, which
    take no resources and serve all later ones.
    """
    hosts: dict[str, str] = {}
    found: set[tuple[str, int]] = set()
    for node in ask("/nodes?view=summary")["data"]["summary"]:
        raylet = node.get("raylet") or {}
        hosts[raylet.get("nodeId", "")] = node.get("ip", "")
        found |= {
            (one["ipAddress"], int(one["pid"]))
            for one in raylet.get("coreWorkersStats") or ()
            if one.get("jobId") == ray_id
        }
    lasting: set[tuple[str, int]] = set()
    for one in _list(ask, "actors", "detail=true"):
        if one["job_id"] == ray_id and one["state"] == "ALIVE" and one["pid"]:
            place = (hosts.get(one["node_id"], ""), int(one["pid"]))
            (lasting if one["is_detached"] else found).add(place)
    return found - lasting


def _resources(ask: Ask) -> tuple[dict[str, float], dict[str, float], float]:
    """Empty where the cluster's autoscaler reports none in this form."""
    told = ask("/api/cluster_status?format=0")["data"].get("clusterStatus") or {}
    usage = (told.get("loadMetricsReport") or {}).get("usage") or {}
    pairs = {name: usage[name] for name in SHOWN if name in usage}
    used = {name: float(pair[0]) for name, pair in pairs.items()}
    total = {name: float(pair[1]) for name, pair in pairs.items()}
    return used, total, float(told.get("time") or time.time())


def _list(ask: Ask, what: str, more: str = "detail=false") -> list[dict[str, Any]]:
    answer = ask(f"/api/v0/{what}?limit=10000&{more}")
    found: list[dict[str, Any]] = answer["data"]["result"]["result"]
    return found
