"""What runs there are and how they truly stand, told from their journals and their processes."""

from __future__ import annotations

import os
from pathlib import Path

from ganlib.errors import Damaged, GanlibError
from ganlib.stages import pipelines
from ganlib.stages.values import ModelStatus, RunState, RunStatus, Status
from ganlib.storage import Home, read_json
from ganlib.training import RunIdentity, read_journal


def status(home: Home) -> Status:
    """Every run and every registered version; an unreachable registry is a note, not an error."""
    models, note = _models(home)
    return Status(home=str(home.root), runs=runs(home), models=models, note=note)


def runs(home: Home) -> tuple[RunStatus, ...]:
    """Newest pipeline first, each followed by its stages and trials in the order they began."""
    left = continuable(home)
    found = [run for path in home.spool.glob("*.jsonl") if (run := _run(home, path, left))]
    begun = {run.id: run.started for run in found if run.parent is None}

    def place(run: RunStatus) -> tuple[float, str, int, float, str]:
        top = run.id.partition(".")[0]
        return (-begun.get(top, run.started), top, run.parent is not None, run.started, run.id)

    return tuple(sorted(found, key=place))


def continuable(home: Home) -> frozenset[str]:
    """Pipelines the same command would continue: the newest of their kind, and not finished."""
    newest = {pipeline.same: pipeline for pipeline in pipelines.everyone(home)}
    return frozenset(
        p.id
        for p in newest.values()
        if p.status != "FINISHED" and (p.status is not None or not pipelines.alive(home, p))
    )


def _run(home: Home, path: Path, left: frozenset[str]) -> RunStatus | None:
    identity: RunIdentity | None = None
    started = updated = 0.0
    attempt, images = 0, 0
    closed: dict[str, str] | None = None
    watched = ""
    rescues: dict[str, str] = {}
    for line in read_journal(path):
        updated = float(line.get("t", updated))
        if line["kind"] == "open":
            identity = RunIdentity.model_validate(line["identity"])
            started, attempt, closed = started or updated, int(line["attempt"]), None
        elif line["kind"] == "metrics":
            images = max(images, int(line["clock"]))
        elif line["kind"] == "tags":
            tags = line["values"]
            watched = tags.get("ganlib.collapse", watched)
            rescues |= {k: text for k, text in tags.items() if k.startswith("ganlib.rescue.")}
        elif line["kind"] == "close":
            closed = line
    if identity is None:
        return None
    return RunStatus(
        id=identity.id,
        parent=identity.parent_id,
        name=identity.name,
        stage=identity.stage,
        state=_state(identity, closed, identity.id.partition(".")[0] in left),
        images=images,
        budget=identity.images,
        started=started,
        updated=updated,
        attempt=attempt,
        verdict=closed["verdict"] if closed else watched,
        rescues=tuple(rescues.values()),
        description=closed["description"] if closed else "",
        pid=identity.pid,
        url=_url(home, identity.id),
    )


def _state(identity: RunIdentity, closed: dict[str, str] | None, left: bool) -> RunState:
    if closed is None:
        # A process on another host cannot be asked: it is believed until a reaper closes it.
        if identity.owner_alive() is not False:
            return "running"
        return "interrupted" if left else "killed"
    if closed["status"] == "FINISHED":
        return "finished"
    if closed["status"] == "FAILED":
        return "failed"
    return "interrupted" if left else "killed"


def _url(home: Home, run: str) -> str | None:
    try:
        url = read_json(home.spool / f"{run}.run.json").get("url")
    except (OSError, Damaged, AttributeError):
        return None
    return str(url) if url else None


def _models(home: Home) -> tuple[tuple[ModelStatus, ...], str]:
    if not os.environ.get("MLFLOW_TRACKING_URI") and not home.mlflow_db.exists():
        return (), ""
    from ganlib.tracking import describe

    try:
        table = describe(home)
    except GanlibError as error:
        return (), error.message
    return tuple(
        ModelStatus(
            name=str(row["model"]),
            version=str(row["version"]),
            aliases=tuple(str(row["aliases"]).split(", ")) if row["aliases"] else (),
            verdict=str(row["decision"]),
        )
        for row in table.to_dict(orient="records")
    ), ""
