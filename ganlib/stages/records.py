"""The record of a finished stage: the only memory of what is done.

`HOME/stages/<key>/record.json` is written last; what it names is whole. The stage works in
`HOME/runs/<stage>-<key>`, so an unfinished one finds its own snapshots again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from ganlib.config import Config, fingerprint
from ganlib.errors import Damaged, StageFailed
from ganlib.stages import jobs, pipelines
from ganlib.stages.beats import beating
from ganlib.stages.context import Context
from ganlib.stages.keys import VERSIONS, plain, stage_key
from ganlib.stages.orders import Given
from ganlib.stages.values import StageResult, Value
from ganlib.storage import Home, holding, read_json, write_bytes, write_json
from ganlib.training import Journal, RunIdentity, read_journal

if TYPE_CHECKING:
    import pandas as pd

V = TypeVar("V", bound=Value)
SHOWN_S = 30.0


class Record(Config):
    """`parts` are fingerprints, `values` what they are the fingerprints of."""

    stage: str
    label: str
    key: str
    version: int
    parts: dict[str, str]
    values: dict[str, Any]
    result: dict[str, Any]
    seconds: float = Field(ge=0)
    finished: float
    pipeline_id: str
    run: str


@dataclass(frozen=True)
class Work:
    """What a stage's body is given: its folder, its journal and who it is."""

    context: Context
    stage: str
    label: str
    key: str
    folder: Path
    identity: RunIdentity
    journal: Journal

    def table(self, name: str, frame: pd.DataFrame) -> str:
        """Keep `frame` as a CSV in the folder and in the journal; the path of the CSV."""
        path = self.folder / f"{name}.csv"
        write_bytes(path, frame.to_csv(index=False).encode())
        self.journal.artifact(path)
        if len(frame):
            self.journal.table(name, json.loads(frame.to_json(orient="records")))
        return str(path)

    def picture(self, clock: int, name: str, png: bytes) -> str:
        """Keep a PNG in the folder and in the journal; its path."""
        path = self.folder / f"{name}.png"
        write_bytes(path, png)
        self.journal.image(clock, name, png)
        return str(path)

    def child(self, name: str, *, images: int | None = None, trial: str = "") -> RunIdentity:
        """The identity of a run below this one, which works in the folder of that name."""
        tags = {"ganlib.folder": str(self.folder / name)}
        if trial:
            tags["ganlib.trial_id"] = trial
        return self.identity.model_copy(
            update={
                "id": f"{self.identity.id}.{name}",
                "key": f"{self.identity.key}/{trial or name}",
                "parent_id": self.identity.id,
                "name": f"{self.stage} {name}",
                "tags": {**self.identity.tags, **tags},
                "images": images,
            }
        )


def run_stage(
    context: Context,
    stage: str,
    parts: Mapping[str, Any],
    kind: type[V],
    body: Callable[[Work], V],
    *,
    describe: Callable[[V], str],
    verdict: Callable[[V], str] = lambda value: "done",
    images: int | None = None,
    label: str | None = None,
    given: Given | None = None,
) -> StageResult[V]:
    """The stage's recorded value, or what `body` makes of it now, here or in a Ray job.

    A second process with the same key waits, saying so, and then reuses. `describe` gives the one
    sentence a run is remembered by, `verdict` the word before it; `images` is the budget shown
    while it runs; `label` is what to call it when it is not the stage of that name in the chain.
    With RAY_ADDRESS a stage that has `given` is a job there, which calls this again.
    """
    key, name = stage_key(stage, parts), label or stage
    found = _reuse(context, name, key, kind, describe, verdict)
    if found is not None:
        return found
    if given is not None and jobs.elsewhere():
        jobs.perform(context, identity_of(context, name, key).id, given)
        return _done(context, name, key, kind)
    lock = context.home.locks / f"stage-{key}.lock"
    with (
        beating(_waited_on(context)),
        holding(lock, f"stage {name}", wait=-1, on_wait=lambda t: context.say(f"{name}: {t}")),
    ):
        found = _reuse(context, name, key, kind, describe, verdict)
        if found is not None:
            return found
        work = _begin(context, stage, name, key, images)
        before = time.monotonic()
        with _closing(work):
            with beating([work.journal]):
                value = body(work)
            seconds = time.monotonic() - before
            _write(context, work, parts, value, seconds)
            work.journal.metrics(0, {"stage_seconds": seconds})
            work.journal.close("FINISHED", verdict(value), describe(value))
    return StageResult(name, key, value, False, seconds, work.identity.id, context.pipeline_id)


def _done(context: Context, name: str, key: str, kind: type[V]) -> StageResult[V]:
    """What a job has just written on another node; a file system may take a while to show it."""
    end = time.monotonic() + SHOWN_S
    while (record := read(context.home, key)) is None:
        if time.monotonic() > end:
            raise StageFailed(
                f"{name} was done on another node, and its record is not in {context.home.root}",
                where=name,
                hint="the home must be on a file system that all nodes share",
            )
        time.sleep(0.2)
    value = kind.model_validate(record.result)
    return StageResult(name, key, value, False, record.seconds, record.run, context.pipeline_id)


def _waited_on(context: Context) -> list[Journal]:
    """A job does not speak for the pipeline: whether its own process lives is for that to say."""
    if jobs.inside():
        return []
    return [pipelines.journal(context.home, context.pipeline_id)]


def identity_of(
    context: Context, name: str, key: str, *, images: int | None = None, folder: Path | None = None
) -> RunIdentity:
    """Of a stage's run; found again by pipeline and key, whichever process asks."""
    tags = {"ganlib.config": fingerprint(context.config)}
    if folder is not None:
        tags["ganlib.folder"] = str(folder)
    if context.flow_run_id:
        tags["ganlib.flow_run_id"] = context.flow_run_id
    return RunIdentity(
        id=f"{context.pipeline_id}.{name}-{key[:8]}",
        key=f"{context.pipeline_id}/{key}",
        parent_id=context.pipeline_id,
        experiment=context.experiment,
        name=name,
        stage=name,
        tags=tags,
        images=images,
    )


def _begin(context: Context, stage: str, name: str, key: str, images: int | None) -> Work:
    folder = context.home.runs / f"{stage}-{key}"
    if context.fresh:
        folder = folder.with_name(f"{folder.name}.{context.pipeline_id}")
    folder.mkdir(parents=True, exist_ok=True)
    identity = identity_of(context, name, key, images=images, folder=folder)
    journal = Journal(pipelines.journal_path(context.home, identity.id), identity)
    return Work(context, stage, name, key, folder, identity, journal)


@contextmanager
def _closing(work: Work) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        pipelines.close(work.journal, error)
        raise


def _reuse(
    context: Context,
    name: str,
    key: str,
    kind: type[V],
    describe: Callable[[V], str],
    verdict: Callable[[V], str],
) -> StageResult[V] | None:
    try:
        record = read(context.home, key)
    except Damaged as error:
        context.say(f"{name}: {error.message}; doing it again")
        return None
    if record is None or (context.fresh and record.pipeline_id != context.pipeline_id):
        return None
    value = kind.model_validate(record.result)
    gone = [path for path in value.paths() if not Path(path).exists()]
    if gone:
        context.say(f"{name}: {gone[0]} is not there any more; doing it again")
        return None
    if record.pipeline_id != context.pipeline_id:
        pipelines.reused(context.home, context.pipeline_id, name, record.run)
    else:
        close_late(context, record.label, record.key, verdict(value), describe(value))
    context.say(f"{name}: reused, made by {record.run} {_ago(record.finished)}")
    return StageResult(name, key, value, True, record.seconds, record.run, context.pipeline_id)


def close_late(context: Context, name: str, key: str, verdict: str, sentence: str) -> str | None:
    """A kill after the result and before the journal's last line left it saying killed.

    Returns the run's id; none if this pipeline has no such run.
    """
    identity = identity_of(context, name, key)
    path = pipelines.journal_path(context.home, identity.id)
    if not path.exists():
        return None
    ends = [line["status"] for line in read_journal(path) if line["kind"] == "close"]
    if not ends or ends[-1] != "FINISHED":
        Journal(path, identity).close("FINISHED", verdict, sentence)
    return identity.id


def _ago(moment: float) -> str:
    seconds = max(0.0, time.time() - moment)
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} seconds ago"


def _write(
    context: Context, work: Work, parts: Mapping[str, Any], value: Value, seconds: float
) -> None:
    path = _path(context.home, work.key)
    if path.exists():  # a fresh run's record takes its place; the one before is kept beside it
        path.replace(path.with_name(f"record-{int(path.stat().st_mtime_ns)}.json"))
    record = Record(
        stage=work.stage,
        label=work.label,
        key=work.key,
        version=VERSIONS[work.stage],
        parts={name: fingerprint(part) for name, part in parts.items()},
        values=plain(parts),
        result=value.model_dump(mode="json"),
        seconds=seconds,
        finished=time.time(),
        pipeline_id=context.pipeline_id,
        run=work.identity.id,
    )
    write_json(path, record.model_dump(mode="json"))


def _path(home: Home, key: str) -> Path:
    return home.stages / key / "record.json"


def read(home: Home, key: str) -> Record | None:
    """The record of `key`; raises Damaged naming the file if it is none."""
    path = _path(home, key)
    try:
        return Record.model_validate(read_json(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {error}", where=str(path), hint="delete it") from None


def newest(home: Home, stage: str) -> Record | None:
    """The last finished record of a stage of the chain, whatever its key."""
    found = []
    for path in home.stages.glob("*/record.json"):
        try:
            record = read(home, path.parent.name)
        except Damaged:
            continue
        if record is not None and record.label == stage:
            found.append(record)
    return max(found, key=lambda record: record.finished, default=None)
