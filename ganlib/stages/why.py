"""Which part of a stage's key changed: the walk from the source to the stage, by records alone."""

from __future__ import annotations

import time
from typing import Any

from ganlib.config import ByNetworks, Config, PipelineConfig, nearest
from ganlib.errors import Damaged, NotFound
from ganlib.stages import classifiers, evaluate, gan, judges, prepare, records, sweep
from ganlib.stages.keys import VERSIONS, plain, stage_key
from ganlib.stages.values import (
    Best,
    Candidate,
    Change,
    Classifiers,
    DatasetRef,
    EvaluationResult,
    Value,
    Why,
)
from ganlib.storage import Home

KINDS: dict[str, type[Value]] = {
    "prepare": DatasetRef,
    "classifiers": Classifiers,
    "sweep": Best,
    "gan": Candidate,
    "evaluate": EvaluationResult,
}


def order(config: PipelineConfig, *, sweeping: bool = True) -> tuple[str, ...]:
    """Recorded stages as they follow each other; a sweep over the classifier comes before it.

    Of images without classes no classifier is trained.
    """
    stages = ("prepare", "classifiers", "sweep", "gan", "evaluate")
    if config.sweep.target == "classifier":
        stages = ("prepare", "sweep", "classifiers", "gan", "evaluate")
    left_out = {"classifiers"} if isinstance(config.judging, ByNetworks) else set()
    left_out |= set() if sweeping else {"sweep"}
    return tuple(stage for stage in stages if stage not in left_out)


def parts_of(
    home: Home, config: PipelineConfig, stage: str, made: dict[str, Any]
) -> dict[str, Any]:
    """What `stage` depends on, given the values of the stages before it."""
    match stage:
        case "prepare":
            return prepare.parts(config)
        case "classifiers":
            return classifiers.parts(home, config, made["prepare"], made.get("sweep"))
        case "sweep":
            return sweep.parts(home, config, made["prepare"], made.get("classifiers"))
        case "gan":
            given = made["prepare"], made["classifiers"], made.get("sweep")
            return gan.parts(home, config, *given)
        case "evaluate":
            return evaluate.parts(config, made["prepare"], made["classifiers"], made["gan"])
        case _:
            raise AssertionError(stage)


def done(
    home: Home, config: PipelineConfig, *, sweeping: bool = True
) -> tuple[dict[str, Any], str | None]:
    """Values of the stages that are done, in order, and the first that is not.

    Networks that judge count as `classifiers`, and are always there.
    """
    chosen = judges.networks(config)
    made: dict[str, Any] = {} if chosen is None else {"classifiers": chosen}
    for stage in order(config, sweeping=sweeping):
        value = _recorded(home, stage, stage_key(stage, parts_of(home, config, stage, made)))
        if value is None:
            return made, stage
        made[stage] = value
    return made, None


def _recorded(home: Home, stage: str, key: str) -> Value | None:
    try:
        record = records.read(home, key)
    except Damaged:
        return None
    return KINDS[stage].model_validate(record.result) if record else None


def why(home: Home, config: PipelineConfig, stage: str) -> Why:
    """Compared with the newest record of the stage, whatever its key."""
    if stage == "promote":
        reason = "promotion keeps no record: the registry is asked each time"
        return Why(stage=stage, key=None, reused=False, reason=reason)
    if stage not in KINDS:
        close = nearest(stage, (*KINDS, "promote"))
        raise NotFound(
            f"there is no stage {stage!r}",
            where=stage,
            hint=f"did you mean {close}?" if close else f"stages: {', '.join(KINDS)}, promote",
        )
    stages = order(config)
    if stage not in stages:
        reason = "no classifier is trained: the images have no classes, and networks judge"
        return Why(stage=stage, key=None, reused=False, reason=reason)
    made, undone = done(home, config)
    if undone is not None and stages.index(undone) < stages.index(stage):
        return _blocked(home, config, stage, undone, made)
    parts = parts_of(home, config, stage, made)
    return _compare(home, stage, parts)


def _blocked(
    home: Home, config: PipelineConfig, stage: str, undone: str, made: dict[str, Any]
) -> Why:
    """Its key is not known before the stages before it are done; tell why they are not."""
    first = _compare(home, undone, parts_of(home, config, undone, made))
    return Why(
        stage=stage,
        key=None,
        reused=False,
        reason=f"{undone} comes before it and will be done: {first.reason}",
        changes=first.changes,
        compared_with=first.compared_with,
    )


def _compare(home: Home, stage: str, parts: dict[str, Any]) -> Why:
    key = stage_key(stage, parts)
    if _recorded(home, stage, key) is not None:
        record = records.read(home, key)
        assert record is not None
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.finished))
        return Why(stage=stage, key=key, reused=True, reason=f"made by {record.run} at {when}")
    last = records.newest(home, stage)
    if last is None:
        return Why(stage=stage, key=key, reused=False, reason="it was never done in this home")
    changes = list(_changes(last.values, plain(parts)))
    if last.version != VERSIONS[stage]:
        changes.append(
            Change(part="version", path="version", before=last.version, now=VERSIONS[stage])
        )
    named = ", ".join(dict.fromkeys(change.path for change in changes))
    return Why(
        stage=stage,
        key=key,
        reused=False,
        reason=f"changed: {named}",
        changes=tuple(changes),
        compared_with=last.key,
    )


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[Change]:
    old, new = _flat(before), _flat(now)
    return [
        Change(part=path.partition(".")[0], path=path, before=old.get(path), now=new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    if isinstance(tree, Config):
        tree = tree.model_dump(mode="json")
    if not isinstance(tree, dict) or not tree:
        return {path: tree}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{path}.{name}" if path else str(name))
    return flat
