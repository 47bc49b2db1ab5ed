"""One run, or several side by side, on Ray Train's workers."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ganlib.cluster.devices import Devices
from ganlib.cluster.session import in_threads, is_local, ray_session
from ganlib.cluster.verdicts import Verdicts, from_dict, unwritten
from ganlib.config import ClusterConfig
from ganlib.errors import OutOfMemory, StageFailed, WorkersLost
from ganlib.training import Outcome, RunSpec

# Train's helpers for Ray Data and for clusters that outlive the driver: two processes and 3 s a fit
# that a Ray of our own has no use for.
NEEDLESS = frozenset({"DatasetsCallback", "PlacementGroupCleanerCallback"})


def fit(
    spec: RunSpec,
    cluster: ClusterConfig,
    *,
    workers: int,
    fewest: int | None = None,
    log: Path | None = None,
) -> Outcome:
    """Train `spec` on `workers` processes, or, on a cluster, on no less than `fewest`.

    A lost worker restarts them all from the last snapshot, up to `cluster.max_failures` times; the
    weights at the end are those of a run nobody disturbed. Where a node is given notice they save
    one at the next report and go on from it elsewhere, however often. With `fewest` a group that
    lost a node goes on with as many as there are places for and as share the batch evenly, and
    with more after a snapshot as soon as there are more. A finished run answers without workers.
    Ray is that of the `ray_session` around it, or one of its own with `log`. Raises what training
    raises as itself (Diverged, ConfigError, StorageError...), and StageFailed for anything else.
    """
    return fit_many([spec], cluster, workers=workers, fewest=fewest, log=log)[0]


def fit_many(
    specs: Sequence[RunSpec],
    cluster: ClusterConfig,
    *,
    workers: int,
    fewest: int | None = None,
    log: Path | None = None,
) -> tuple[Outcome, ...]:
    """`fit` of each, as many at a time as there are CPUs (or GPUs) for; outcomes in order.

    When one fails the others still come to their end, so that trying again repeats nothing; then
    the first failure is raised.
    """
    if all(_is_finished(spec) for spec in specs):
        return tuple(_finished(spec) for spec in specs)
    with ray_session(cluster, log=log or Path(specs[0].run_folder) / "ray.log"):
        devices = Devices.of(cluster)
        if is_local():  # a Ray of our own loses no nodes
            fewest = None
        workers = devices.workers(workers, specs[0].config.batch_size, fewest)
        width = devices.side_by_side(workers)
        done: list[Future[Outcome]] = []
        for start in range(0, len(specs), width):
            some = [_for(spec, workers, fewest) for spec in specs[start:][:width]]
            done.extend(in_threads([(_fit_one, (s, cluster, devices)) for s in some]))
        return tuple(future.result() for future in done)


def _for(spec: RunSpec, workers: int, fewest: int | None) -> RunSpec:
    """The spec for `workers`, or for those numbers from `fewest` to it that share its batch."""
    from ganlib.training import rescue

    config = rescue.applied(spec, rescue.made(spec)).config
    numbers = range(workers if fewest is None else min(fewest, workers), workers + 1)
    some = tuple(n for n in numbers if n == workers or config.uneven(n) is None)
    return spec.model_copy(update={"workers": workers, "elastic": some if len(some) > 1 else ()})


def _is_finished(spec: RunSpec) -> bool:
    folder = Path(spec.run_folder)
    return (folder / "outcome.json").is_file() and (folder / "model" / "network.json").is_file()


def _finished(spec: RunSpec) -> Outcome:
    """Raises ConfigError if the outcome there is another configuration's."""
    from ganlib.training.execute import execute

    return execute(spec)


def _fit_one(spec: RunSpec, cluster: ClusterConfig, devices: Devices) -> Outcome:
    if _is_finished(spec):
        return _finished(spec)
    folder = Path(spec.run_folder)
    name = f"attempt-{uuid.uuid4().hex[:12]}"
    verdicts = Verdicts(folder / f"verdicts-{name}")
    job = {
        "spec": spec.model_dump(mode="json"),
        "verdicts": str(verdicts.folder),
        "device": devices.kind,
        "watched": not is_local(),  # a Ray of our own loses no nodes
    }
    try:
        return _answer(_train(job, spec, cluster, devices, name), verdicts, spec)
    finally:
        shutil.rmtree(verdicts.folder, ignore_errors=True)
        shutil.rmtree(folder / "ray", ignore_errors=True)


def _train(
    job: dict[str, Any], spec: RunSpec, cluster: ClusterConfig, devices: Devices, name: str
) -> dict[str, Any] | Exception:
    """What rank 0 returned, or why there is nothing."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig

    from ganlib.cluster.worker import train

    most = spec.workers
    scaling = ScalingConfig(
        num_workers=(min(spec.elastic), most) if spec.elastic else most,
        use_gpu=devices.kind == "cuda",
        resources_per_worker=devices.of_worker(),
    )
    trainer = _trainer(spec, scaling)(
        train,
        train_loop_config=job,
        torch_config=TorchConfig(backend="nccl" if devices.kind == "cuda" else "gloo"),
        scaling_config=scaling,
        run_config=RunConfig(
            name=name,
            storage_path=str(Path(spec.run_folder) / "ray"),
            failure_config=FailureConfig(
                max_failures=cluster.max_failures, controller_failure_limit=2
            ),
        ),
    )
    try:
        answer: dict[str, Any] | Exception = trainer.fit().return_value
    except TrainingFailedError as error:
        answer = error
    return answer


def _answer(told: dict[str, Any] | Exception, verdicts: Verdicts, spec: RunSpec) -> Outcome:
    if isinstance(told, Exception):
        known = verdicts.first() or unwritten(getattr(told, "worker_failures", {}))
        if known is not None:
            raise known
        raise _lost(told, spec)
    if "error" in told:
        raise from_dict(told["error"])
    return Outcome.model_validate(told["outcome"])


def _lost(told: Exception, spec: RunSpec) -> StageFailed:
    """Ray's own report of workers that said nothing before they went."""
    reports = [told, *getattr(told, "worker_failures", {}).values()]
    for_memory = any("OutOfMemoryError" in f"{type(one).__name__}: {one}" for one in reports)
    log = f"what they said last: {spec.run_folder}/worker-*.log"
    if for_memory:
        return OutOfMemory(
            f"training's workers were ended for want of memory: {told}",
            where=spec.run_folder,
            hint=f"lower cluster.workers, or give the machine more memory; {log}",
        )
    return WorkersLost(
        f"training lost its workers more often than cluster.max_failures allows: {told}",
        where=spec.run_folder,
        hint=log,
    )


def _trainer(spec: RunSpec, scaling: Any) -> Any:
    from ray.train.torch import TorchTrainer

    class Trainer(TorchTrainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            every = super()._create_default_callbacks()
            lean = NEEDLESS if is_local() else ()
            return [one for one in every if type(one).__name__ not in lean]

        def _initialize_and_run_controller(self, **given: Any) -> Any:
            if spec.elastic:
                from ganlib.cluster.elastic import Elastic

                snapshots = Path(spec.run_folder) / "snapshots"
                given["scaling_policy"] = Elastic(scaling, spec.elastic, snapshots)
            return super()._initialize_and_run_controller(**given)

    return Trainer
