"""Looks at published weights by a Ray actor, beside the worker that asks for them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ganlib.cluster.worker import speak_into
from ganlib.training.evaluators import RETRIES, Unavailable
from ganlib.training.look import Look, take

POLL_S = 0.2
PLACE_S = 60.0  # as long as Train gives its workers to start


class RayEvaluator:
    """An actor in a place as large as the asking worker's: its CPUs, its GPU.

    It is asked for when the workers have theirs and goes with the worker that asked, however that
    ends: what it holds is nobody's who is to train. Looks that are wanted while it has no place
    are withdrawn, from `PLACE_S` after it was asked for, or at once where `workers` of its size
    leave no room. Weights, readings and pictures travel as files.
    """

    def __init__(self, workers: int) -> None:
        import ray

        assigned = ray.get_runtime_context().get_assigned_resources()
        self.wanted = {"CPU": assigned.get("CPU", 1.0), "GPU": assigned.get("GPU", 0.0)}
        found = ray.cluster_resources()
        room = all(found.get(name, 0.0) >= (workers + 1) * n for name, n in self.wanted.items())
        self.grace_s = PLACE_S if room else 0.0
        self.asked: dict[Path, tuple[Look, Any]] = {}
        self.lost = 0
        self._start()

    def ask(self, look: Look) -> None:
        self.asked[look.path] = look, self.actor.take.remote(look.model_dump_json())

    def wait(self, look: Look, seconds: float) -> bool:
        import ray

        deadline = time.monotonic() + seconds
        while not look.path.exists():
            _, answer = self.asked[look.path]
            if time.monotonic() >= deadline:
                return False
            if not self._placed() and time.monotonic() >= self.begun + self.grace_s:
                ray.cancel(self.asked.pop(look.path)[1])
                wanted = " and ".join(f"{n:g} {name}" for name, n in self.wanted.items() if n)
                raise Unavailable(f"the cluster has no room for {wanted} more")
            if ray.wait([answer], timeout=POLL_S)[0]:
                self._heed(answer)
        self.asked.pop(look.path, None)
        return True

    def close(self) -> None:
        import ray

        ray.kill(self.actor)

    def _start(self) -> None:
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self.actor = (
            ray.remote(_Actor)
            .options(
                num_cpus=self.wanted["CPU"],
                num_gpus=self.wanted["GPU"],
                # A place of its own, not one in the workers' group.
                scheduling_strategy=PlacementGroupSchedulingStrategy(None),
            )
            .remote()
        )
        self.begun, self.up = time.monotonic(), self.actor.up.remote()

    def _placed(self) -> bool:
        import ray

        return bool(ray.wait([self.up], timeout=0)[0])

    def _heed(self, answer: Any) -> None:
        """A lost actor is started again and asked the same; raises Unavailable where it fails."""
        import ray
        from ray.exceptions import RayActorError, RayError

        try:
            ray.get(answer)
        except RayError as error:
            self.lost += isinstance(error, RayActorError)
            if not isinstance(error, RayActorError) or self.lost > RETRIES:
                reason = str(error).strip().splitlines()[-1]
                raise Unavailable(f"its task failed: {reason}") from error
            self._start()
            for look, _ in list(self.asked.values()):
                self.ask(look)
        else:
            time.sleep(POLL_S)  # a shared disk may show the file a moment later


class _Actor:
    def up(self) -> None: ...

    def take(self, told: str) -> None:
        look = Look.model_validate_json(told)
        if look.path.parent.exists():  # or nobody wants it any more
            speak_into(Path(look.spec.run_folder) / "evaluator.log")
            take(look)
