"""Notice for the node this runs on: `python -m ganlib.cluster.notice SECONDS`.

It is the preStop hook of Ray's pods on Kubernetes, which gives a pod notice where Ray expects it of
its autoscaler. Ray then starts nothing there any more, training saves a snapshot and goes on
elsewhere, and the node ends as soon as it holds nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from ganlib.errors import ConfigError

ANSWER_S = 10.0
POLL_S = 0.5
WHOSE = "RAY_CLOUD_INSTANCE_ID"
"""KubeRay gives each pod its name in it, and Ray's node of that pod says it too."""


def give(address: str, instance: str, seconds: int) -> None:
    """Tell the head at `address`, HOST:PORT, and return when the node is gone.

    Raises ConfigError where no node of that name is alive, or the head refuses.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # it is compiled
    from ray.core.generated import autoscaler_pb2

    head = GcsClient(address=address)
    node = _alive(head, instance)
    if node is None:
        raise ConfigError(
            f"no node of the Ray at {address} is {instance}", where=WHOSE, hint="set by KubeRay"
        )
    taken, why = head.drain_node(
        node,
        autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
        f"{instance} is to go",
        int(1000 * (time.time() + seconds)),
    )
    if not taken:
        raise ConfigError(f"the head takes no notice of {instance}: {why}", where=WHOSE)
    while _alive(head, instance) is not None:
        time.sleep(POLL_S)


def _alive(head: Any, instance: str) -> str | None:
    """The id of its node."""
    from ray.core.generated.gcs_pb2 import GcsNodeInfo

    for node, told in head.get_all_node_info(timeout=ANSWER_S).items():
        if told.instance_id == instance and told.state == GcsNodeInfo.ALIVE:
            return str(node.hex())
    return None


def main() -> int:
    (seconds,) = map(int, sys.argv[1:])
    signal.alarm(seconds)  # however long the head is silent
    try:
        give(os.environ["RAY_ADDRESS"], os.environ[WHOSE], seconds)
    except KeyError as error:
        print(f"{error} is not set: this runs on a node of Ray alone", file=sys.stderr)
        return 2
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
