"""How many of a range of workers train, while nodes of a cluster come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray._private.state import state
from ray.train import ScalingConfig
from ray.train.v2._internal.execution.scaling_policy import (
    ElasticScalingPolicy,
    NoopDecision,
    ResizeDecision,
)


class Elastic(ElasticScalingPolicy):  # type: ignore[misc]
    """Ray's own, which is new, for training that is not to lose anything by it.

    Ray's takes any number of a range: only `counts` share a batch evenly. It counts the places of
    nodes that were given notice, where nothing is started any more. And it stops a healthy group in
    the middle of its work: here one is resized when there is a new snapshot in `snapshots`.
    """

    def __init__(self, scaling: ScalingConfig, counts: Sequence[int], snapshots: Path) -> None:
        super().__init__(scaling)
        self.counts = tuple(sorted(counts))
        self.snapshots = snapshots
        self.wished_at: str | None = None

    def make_decision_for_running_worker_group(
        self, worker_group_state: Any, worker_group_status: Any
    ) -> Any:
        decision = super().make_decision_for_running_worker_group(
            worker_group_state, worker_group_status
        )
        newest = self._newest()
        if isinstance(decision, ResizeDecision) and self.wished_at is None:
            self.wished_at = newest
        if self.wished_at is None or newest == self.wished_at:
            return NoopDecision()
        self.wished_at = None
        room = self._count_possible_workers(self._get_reserved_resources() or {})
        if room in (0, worker_group_state.num_workers):
            return NoopDecision()
        return self._get_resize_decision(room)

    def _count_possible_workers(self, reserved_resources: Mapping[str, Any]) -> int:
        leaving = state.get_draining_nodes() or {}
        staying = {node: has for node, has in reserved_resources.items() if node not in leaving}
        room = super()._count_possible_workers(staying)
        return max((n for n in self.counts if n <= room), default=0)

    def _newest(self) -> str:
        return max((path.parent.name for path in self.snapshots.glob("*/meta.json")), default="")
