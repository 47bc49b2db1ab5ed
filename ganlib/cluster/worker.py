"""What runs inside a Ray process: one rank of a fit."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.cluster.verdicts import Unwritten, Verdicts, is_lost_peer, to_dict
from ganlib.config import GanConfig
from ganlib.training import Outcome, RunSpec

if TYPE_CHECKING:
    from ganlib.training.evaluators import Evaluator
    from ganlib.training.loop import Moment


def train(job: dict[str, Any]) -> dict[str, Any]:
    """One rank of a fit: `{"outcome": ...}`, or `{"error": ...}` where trying again is no help.

    It raises only when Ray should start the group again: another rank was lost, a node is to go and
    the state is saved, or this rank alone failed while the others wait for it in a collective. Then
    the next attempt finds the verdict.
    """
    from ray.train import get_context

    rank, world = get_context().get_world_rank(), get_context().get_world_size()
    verdicts = Verdicts(Path(job["verdicts"]))
    known = verdicts.first()
    if known is not None:
        return {"error": to_dict(known)}
    spec = RunSpec.model_validate(job["spec"] | {"workers": world})
    speak_into(Path(spec.run_folder) / f"worker-{rank}.log")
    try:
        return {"outcome": _execute(spec, job["device"], job["watched"]).model_dump(mode="json")}
    except Left:
        raise
    except Exception as error:
        traceback.print_exc()
        if is_lost_peer(error):
            raise
        said = verdicts.say(rank, error)
        if world > 1 and not said:
            raise Unwritten.of(error) from error
        if world > 1 and not verdicts.unanimous(world):
            raise
        return {"error": to_dict(error)}


def _execute(spec: RunSpec, device: str, watched: bool) -> Outcome:
    from ganlib.determinism import Replicas
    from ganlib.training.execute import execute

    rank = _Rank()
    return execute(
        spec,
        Replicas.current(),
        device=device,
        on_moment=rank.tell,
        evaluator=_evaluator(spec),
        leaving=rank.leaving if watched else None,
    )


def _evaluator(spec: RunSpec) -> Evaluator | None:
    """For a run that is evaluated beside training, on rank 0, which alone asks."""
    from ganlib.determinism import Replicas

    asynchronous = isinstance(spec.config, GanConfig) and spec.config.evaluate == "beside"
    if not asynchronous or Replicas.current().rank:
        return None
    from ganlib.cluster.evaluator import RayEvaluator

    return RayEvaluator(spec.workers)


class Left(Exception):
    """A node was given notice and what was trained is saved: Ray starts the group elsewhere."""


class _Rank:
    """What a rank says to Ray Train, and hears from it; every rank equally often, as all meet."""

    def __init__(self) -> None:
        self.told = -1
        self.noticed = False

    def leaving(self) -> bool:
        """Whether a node of this group was given notice, as when a spot instance is taken back.

        It is asked at reports, so a cadence of reports slower than nodes give notice loses what was
        trained since the last snapshot.
        """
        from ray.train import get_preemption_info

        self.noticed = get_preemption_info() is not None
        return self.noticed

    def tell(self, moment: Moment) -> None:
        """Once a clock: several moments may share one. Raises Left once the snapshot is there.

        Until the node goes Ray would let the group train on, which nobody saves.
        """
        from ray.train import report

        from ganlib.training.loop import Snapshot

        if moment.clock > self.told:
            self.told = moment.clock
            report({"clock": moment.clock})
        if self.noticed and isinstance(moment, Snapshot):
            raise Left(f"saved at {moment.clock} images, as a node is to go")


def speak_into(path: Path) -> None:
    """From here on this process writes what it prints to the end of `path`, crashes included."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        return  # Ray's own files still have it
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
