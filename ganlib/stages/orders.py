"""What a stage's Ray job is given: a file in the home, written before the job is submitted.

`HOME/runs/jobs/<run of the stage>.<attempt>/` holds `order.json`, what became of it
(`outcome.json`), and, of one that was stopped, `release.json`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ganlib.cluster import surroundings
from ganlib.config import Config, PipelineConfig
from ganlib.errors import Damaged
from ganlib.stages.values import Best, DatasetRef, JudgeRef, Judges, ModelRef
from ganlib.storage import Home, read_json, write_json

SETTINGS = (
    *surroundings.STORAGE,
    "GANLIB_DATA",
    "GANLIB_INCEPTION",
    "GANLIB_RAY_CPUS",
    "GANLIB_RAY_GPUS",
    "MLFLOW_S3_ENDPOINT_URL",
    "MLFLOW_TRACKING_URI",
)
"""What the head is told where it has no word of its own: places and how to ask there.

No credentials, nor AWS_PROFILE, which names some: a file in the home would keep them after they
were renewed, and Ray's page shows what a job is given. Nodes have their own, as a machine's role, a
mounted secret or variables. GANLIB_CACHE is a disk of each machine.
"""


class ForClassifiers(Config):
    kind: Literal["classifiers"] = "classifiers"
    dataset: DatasetRef
    best: Best | None


class ForSweep(Config):
    kind: Literal["sweep"] = "sweep"
    dataset: DatasetRef
    judges: Judges | None


class ForGan(Config):
    kind: Literal["gan"] = "gan"
    dataset: DatasetRef
    judges: Judges
    best: Best | None
    origin: str


class ForEvaluation(Config):
    kind: Literal["evaluate"] = "evaluate"
    dataset: DatasetRef
    judge: JudgeRef
    model: ModelRef
    label: str


Given = Annotated[ForClassifiers | ForSweep | ForGan | ForEvaluation, Field(discriminator="kind")]
"""A stage's inputs; which of `ganlib.api` it is for tells its `kind`."""


class Order(Config):
    """`folder` and `modules` are where a user's own code was found; `settings` hold no secret.

    They reach the job's process by this file, and its workers by Ray, which shows them.
    """

    id: str
    home: str
    config: PipelineConfig
    given: Given
    fresh: bool
    pipeline: str
    flow_run_id: str | None
    folder: str = Field(default_factory=os.getcwd)
    modules: tuple[str, ...] = Field(default_factory=lambda: _modules())
    settings: dict[str, str] = Field(default_factory=lambda: surroundings.told(SETTINGS))


class Outcome(Config):
    """How the job's process ended as it saw it itself; `error` as `ganlib.cluster` packs one."""

    host: str
    status: Literal["begun", "finished", "failed", "interrupted"]
    error: dict[str, Any] | None = None


def folder(home: Home, job: str) -> Path:
    return home.runs / "jobs" / job


def attempts(home: Home, run: str) -> list[str]:
    """The ids of the jobs there were for a stage's run, oldest first."""
    found = [path.parent.name for path in (home.runs / "jobs").glob(f"{run}.*/order.json")]
    return sorted(found, key=lambda name: int(name.rpartition(".")[2]))


def write(home: Home, order: Order) -> Path:
    path = folder(home, order.id) / "order.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, order.model_dump(mode="json"))
    return path


def read(path: Path) -> Order:
    """Raises Damaged naming the file, FileNotFoundError where there is none."""
    try:
        return Order.model_validate(read_json(path))
    except ValidationError as error:
        raise Damaged(f"{path} is damaged: {error}", where=str(path)) from None


def outcome(home: Home, job: str) -> Outcome | None:
    """None of a job that did not get so far as to say anything."""
    try:
        return Outcome.model_validate(read_json(folder(home, job) / "outcome.json"))
    except (FileNotFoundError, Damaged, ValidationError):
        return None


@contextmanager
def telling(order: Order) -> Iterator[None]:
    """Writes down that the job began, and how this block ended."""
    from ganlib.cluster.verdicts import to_dict

    path = folder(Home(Path(order.home)), order.id) / "outcome.json"

    def tell(**told: Any) -> None:
        said = Outcome(host=socket.gethostname(), **told)
        write_json(path, said.model_dump(mode="json"))

    tell(status="begun")
    try:
        yield
    except Exception as error:
        tell(status="failed", error=to_dict(error))
        raise
    except BaseException:
        tell(status="interrupted")
        raise
    tell(status="finished")


def _modules() -> tuple[str, ...]:
    return tuple(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
