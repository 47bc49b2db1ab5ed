"""One call on every node of a cluster, each in a worker process there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.cluster.session import in_threads, ray_session
from ganlib.config import ClusterConfig

PATIENCE_S = 180.0


@dataclass(frozen=True)
class Told:
    """What a node answered, or why it did not; `seconds` since it was asked, `ended` our clock."""

    node: str
    value: Any = None
    trouble: str = ""
    seconds: float = 0.0
    ended: float = 0.0


def each_node(
    work: Callable[..., Any], arguments: tuple[Any, ...], *, cluster: ClusterConfig, log: Path
) -> list[Told]:
    """`work(*arguments)` on every node that is alive, at the same time, by name of the node.

    Ray is that of the `ray_session` around it, or one of its own. Raises as `ray_session` does; a
    node that does not answer within three minutes is told as trouble.
    """
    with ray_session(cluster, log=log):
        (done,) = in_threads([(_all, (work, arguments))])
        found: list[Told] = done.result()
    return found


def _all(work: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Told]:
    import ray
    from ray.exceptions import GetTimeoutError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = {}
    for node in sorted(ray.nodes(), key=lambda one: (one["NodeManagerAddress"], one["NodeID"])):
        if node["Alive"]:
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=place)(work)
            name = f"{node['NodeManagerAddress']} {node['NodeID'][:8]}"
            asked[name] = task.remote(*arguments)
    begun, found = time.monotonic(), []
    for name, reference in asked.items():
        left = max(0.1, PATIENCE_S - (time.monotonic() - begun))
        try:
            value, trouble = ray.get(reference, timeout=left), ""
        except (
            GetTimeoutError
        ):  # it takes no resources and ends with us: see parts.py on cancelling
            value, trouble = None, f"no worker process answered for {PATIENCE_S:.0f} s"
        except RayError as error:
            value, trouble = None, str(getattr(error, "cause", None) or error).strip()[-300:]
        found.append(Told(name, value, trouble, time.monotonic() - begun, time.time()))
    return found
