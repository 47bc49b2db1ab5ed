"""Many trials under Ray Tune; what stops and what wins is decided by ourselves, in logical order.

Tune keeps no scheduler's state over a restart, and its schedulers decide by who arrives first. So
it only runs the trials, a few at a time, in the order of their numbers, and starts one again whose
process died. Everything that is to last lies in files in the sweep's folder.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlib.cluster.devices import Devices
from ganlib.cluster.results import TrialPlan, TrialResult, to_frame
from ganlib.cluster.session import in_threads, ray_session
from ganlib.cluster.trial import Board, Execute, run_trial
from ganlib.config import ClusterConfig, SweepConfig
from ganlib.errors import StageFailed
from ganlib.storage import atomic


def sweep(
    plans: Sequence[TrialPlan],
    config: SweepConfig,
    cluster: ClusterConfig,
    folder: Path,
    *,
    log: Path | None = None,
    execute: Execute | None = None,
) -> list[TrialResult]:
    """The results of all `plans`, by number; `folder/trials.csv` has them as a table.

    Trials that ended before, in this or an earlier process, answer from `folder`, but for those
    that failed; one that was under way goes on from its last snapshot. The same plans give the same
    results whatever the timing, `wall_minutes` aside: after that many no trial begins and those
    under way stop at their next reading. `execute` is what a trial does, training if none is given.
    Raises the StorageError or InputError of a trial, and StageFailed when no trial could run.
    """
    board = Board(folder, folder / f"attempt-{uuid.uuid4().hex[:12]}")
    board.retry_failed()
    left = [plan for plan in plans if board.result(plan.number) is None]
    if left:
        with ray_session(cluster, log=log or folder / "ray.log"):
            try:
                in_threads([(_run, (left, config, cluster, board, execute))])[0].result()
            finally:
                shutil.rmtree(board.attempt, ignore_errors=True)
                shutil.rmtree(folder / "tune", ignore_errors=True)
    results = [board.result(plan.number) or _lost(plan) for plan in plans]
    frame = to_frame(results)
    atomic.write_bytes(folder / "trials.csv", frame.to_csv(index=False).encode())
    if not any(result.ended_well for result in results):
        raise StageFailed(
            f"none of {len(results)} trials ended well; trial {results[0].number}: "
            f"{results[0].reason} {results[0].note}",
            where="sweep",
            hint=f"the reason of each is in {folder / 'trials.csv'}",
        )
    return results


def _lost(plan: TrialPlan) -> TrialResult:
    return TrialResult(
        number=plan.number, overlay=plan.overlay, reason="lost", note="its process died too often"
    )


def _run(
    plans: Sequence[TrialPlan],
    config: SweepConfig,
    cluster: ClusterConfig,
    board: Board,
    execute: Execute | None,
) -> None:
    from ray import tune
    from ray.tune import Callback

    class Losses(Callback):  # type: ignore[misc]
        """Trials that wait for one that is gone without a result are told."""

        def on_trial_complete(
            self, iteration: int, trials: list[Any], trial: Any, **_: Any
        ) -> None:
            number = trial.config["number"]
            if board.result(number) is None:
                board.lose(number)

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            board.lose(trial.config["number"])

    devices = Devices.of(cluster)
    at_once = devices.trials(config.concurrent)
    minutes = config.wall_minutes
    job = {
        "plans": {plan.number: plan.model_dump(mode="json") for plan in plans},
        "config": config.model_dump(mode="json"),
        "board": board,
        "device": devices.kind,
        "deadline": None if minutes is None else time.time() + 60 * minutes,
        "execute": execute,
    }
    trainable = tune.with_resources(
        tune.with_parameters(_trainable, job=job), devices.of_trial(at_once)
    )
    tune.Tuner(
        trainable,
        param_space={"number": tune.grid_search(sorted(plan.number for plan in plans))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=at_once,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"t{trial.config['number']:03d}",
        ),
        run_config=tune.RunConfig(
            name=board.attempt.name,
            storage_path=str(board.folder / "tune"),
            failure_config=tune.FailureConfig(max_failures=cluster.max_failures),
            callbacks=[Losses()],
            verbose=0,
        ),
    ).fit()
    error = board.verdicts.first()
    if error is not None:
        raise error


def _trainable(params: dict[str, Any], *, job: dict[str, Any]) -> dict[str, Any]:
    """One trial as Tune knows it.

    It raises only what no file could take, so nothing else but a process that dies is tried again.
    """
    number = params["number"]
    run_trial(
        TrialPlan.model_validate(job["plans"][number]),
        SweepConfig.model_validate(job["config"]),
        job["board"],
        device=job["device"],
        deadline=job["deadline"],
        execute=job["execute"],
    )
    return {"number": number}
