"""A pipeline run's identity: written down before anything is done, found again after a death.

`HOME/runs/pipelines/<id>.json` says who does what for which configuration; the journal of the same
name is the run all stages hang below.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import yaml

from ganlib.config import Config, PipelineConfig, fingerprint
from ganlib.errors import Collapsed, Damaged, Diverged, GanlibError, NotFound
from ganlib.stages import space
from ganlib.storage import Home, holding, read_json, write_bytes, write_json
from ganlib.training import Journal, RunIdentity, process_started

# A run on a machine that cannot be asked is taken for dead when its journal says nothing this long.
SILENCE_S = 600.0

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Pipeline(Config):
    """`same` is equal for runs that do the same; `status` is none until it ended."""

    id: str
    command: str
    name: str
    same: str
    config: dict[str, Any]
    fresh: bool
    flow_run_id: str | None
    begun: float
    pid: int
    started: float | None
    host: str
    status: Status | None = None
    verdict: str = ""
    ended: float | None = None


def folder(home: Home) -> Path:
    return home.runs / "pipelines"


def read(home: Home, pipeline_id: str) -> Pipeline:
    """Raises NotFound, or Damaged naming the file."""
    path = folder(home) / f"{pipeline_id}.json"
    try:
        return Pipeline.model_validate(read_json(path))
    except FileNotFoundError:
        raise NotFound(f"there is no pipeline run {pipeline_id!r}", where=pipeline_id) from None
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {error}", where=str(path), hint="delete it") from None


def everyone(home: Home) -> list[Pipeline]:
    """All that can be read, oldest first."""
    found = []
    for path in folder(home).glob("p-*.json"):
        try:
            found.append(read(home, path.stem))
        except (Damaged, NotFound):
            continue
    return sorted(found, key=lambda p: (p.begun, p.id))


def alive(home: Home, pipeline: Pipeline) -> bool:
    """Whether its process still works on it."""
    if pipeline.status is not None:
        return False
    if pipeline.host == socket.gethostname():
        started = process_started(pipeline.pid)
        return started is not None and pipeline.started in (None, started)
    try:
        return time.time() - journal_path(home, pipeline.id).stat().st_mtime < SILENCE_S
    except OSError:
        return False


def begin(
    home: Home,
    config: PipelineConfig,
    *,
    command: str,
    fresh: bool = False,
    flow_run_id: str | None = None,
) -> str:
    """The id to work under: that of the newest run of the same if it was left unfinished.

    Raises ConfigError for a sweep whose space cannot be, before anything is written.
    """
    space.check(config)

    def taken(left: Pipeline) -> bool:
        """A flow run that is tried again is nowhere else, however its process ended."""
        return not (flow_run_id and left.flow_run_id == flow_run_id) and alive(home, left)

    same = fingerprint(command, config, fresh)
    with holding(home.locks / "pipelines.lock", "starting a run", wait=60):
        twins = [p for p in everyone(home) if p.same == same]
        left = twins[-1] if twins else None
        continued = left is not None and left.status != "FINISHED" and not taken(left)
        pipeline = Pipeline(
            id=left.id if left is not None and continued else f"p-{secrets.token_hex(6)}",
            command=command,
            name=config.name,
            same=same,
            config=config.model_dump(mode="json"),
            fresh=fresh,
            flow_run_id=flow_run_id,
            begun=left.begun if left is not None and continued else time.time(),
            pid=os.getpid(),
            started=process_started(os.getpid()),
            host=socket.gethostname(),
        )
        _write(home, pipeline)
    _open(home, pipeline, continued)
    return pipeline.id


def _open(home: Home, pipeline: Pipeline, continued: bool) -> None:
    path = folder(home) / f"{pipeline.id}.yaml"
    write_bytes(path, yaml.safe_dump(pipeline.config, sort_keys=False).encode())
    opened = Journal(journal_path(home, pipeline.id), _identity(pipeline))
    if continued:
        opened.note(f"continuing {pipeline.id}, which did not end")
    else:
        opened.artifact(path, "config")


def finish(
    home: Home, pipeline_id: str, status: Status, verdict: str = "", description: str = ""
) -> None:
    """Close the run; one that is closed already stays as it was."""
    pipeline = read(home, pipeline_id)
    if pipeline.status is not None:
        return
    # The journal first: if we die in between, the run counts as unfinished and is closed again.
    Journal(journal_path(home, pipeline_id), _identity(pipeline)).close(
        status, verdict, description
    )
    end = {"status": status, "verdict": verdict, "ended": time.time()}
    _write(home, pipeline.model_copy(update=end))


@contextmanager
def closing(home: Home, pipeline_id: str) -> Iterator[None]:
    """Finish the run with the truth about how this block ended."""
    try:
        yield
    except BaseException as error:
        with _not_hiding(error):
            finish(home, pipeline_id, *ending(error))
        raise
    finish(home, pipeline_id, "FINISHED", "done")


def ending(error: BaseException) -> tuple[Status, str, str]:
    """Status, verdict and sentence of a run that ended in `error`."""
    if not isinstance(error, Exception):
        return "KILLED", "interrupted", "Interrupted; the same command continues it."
    if isinstance(error, Diverged):
        return "FAILED", "diverged", f"Diverged: {error.message}."
    if isinstance(error, Collapsed):
        return "FAILED", "collapsed", f"Collapsed: {error.message}."
    text = error.message if isinstance(error, GanlibError) else f"{type(error).__name__}: {error}"
    return "FAILED", "failed", f"Failed: {text}"


def close(run: Journal, error: BaseException) -> None:
    """Close a run that ended in `error`."""
    with _not_hiding(error):
        run.close(*ending(error))


@contextmanager
def _not_hiding(error: BaseException) -> Iterator[None]:
    """A full disk that cannot take the end of a run must not hide what ended it."""
    try:
        yield
    except GanlibError as another:
        error.add_note(f"and the run could not be closed: {another.message}")


def note(home: Home, pipeline_id: str, text: str) -> None:
    """A line for whoever watches the pipeline."""
    journal(home, pipeline_id).note(text)


def reused(home: Home, pipeline_id: str, stage: str, run: str) -> None:
    """Link a stage's original run to this pipeline run; by its MLflow id once it has one."""
    try:
        told = str(read_json(home.spool / f"{run}.run.json")["run_id"])
    except (OSError, Damaged, KeyError, TypeError):
        told = run
    journal(home, pipeline_id).tags({f"ganlib.reused.{stage}": told})


def journal_path(home: Home, run: str) -> Path:
    return home.spool / f"{run}.jsonl"


def journal(home: Home, pipeline_id: str) -> Journal:
    """Of a run that was begun, for whoever has something to say."""
    return Journal(journal_path(home, pipeline_id), _identity(read(home, pipeline_id)))


def _identity(pipeline: Pipeline) -> RunIdentity:
    tags = {"ganlib.config": fingerprint(pipeline.config), "ganlib.command": pipeline.command}
    if pipeline.flow_run_id:
        tags["ganlib.flow_run_id"] = pipeline.flow_run_id
    return RunIdentity(
        id=pipeline.id,
        key=pipeline.id,
        experiment=f"ganlib/{pipeline.name}",
        name=f"{pipeline.name} {pipeline.command}",
        stage="pipeline",
        tags=tags,
        pid=pipeline.pid,
        started=pipeline.started,
        host=pipeline.host,
    )


def _write(home: Home, pipeline: Pipeline) -> None:
    write_json(folder(home) / f"{pipeline.id}.json", pipeline.model_dump(mode="json"))
