"""What of a home nothing reaches any more: stages' folders and records, and why others stay.

A stage is kept while a model that holds an alias was made by it, while a run that is not over or
one of the newest used it, while it is young, while MLflow lacks a part of it, and while anything
that is kept was made from it. Registered versions are MLflow's and prepared images the `data`
folder's: neither is touched.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.errors import Busy, ConfigError, Damaged
from ganlib.stages import pipelines, records
from ganlib.stages.records import Record
from ganlib.stages.status import continuable
from ganlib.stages.values import Collected, Collection
from ganlib.storage import Home, holding, read_json
from ganlib.training import read_journal

FOLDER = re.compile(r"^([a-z]+)-([0-9a-f]{16})(\.p-[0-9a-f]{12})?$")
RUN = re.compile(r"^p-[0-9a-f]{12}\.[a-z]+-([0-9a-f]{8})(\.|$)")
GOING = ".gc-"
"""Folders that are being removed begin so; what an interruption leaves goes the next time."""


@dataclass(frozen=True)
class Stage:
    """All folders of a key; `record` is none of what never finished."""

    name: str
    key: str
    folders: tuple[Path, ...]
    record: Record | None

    @property
    def text(self) -> str:
        """All it says, to be searched for what it was made from."""
        if self.record is None:
            return ""
        return json.dumps([self.record.result, self.record.values])

    @property
    def finished(self) -> float:
        if self.record is not None:
            return self.record.finished
        return max(path.stat().st_mtime for path in self.folders)


def collect(home: Home, *, keep_runs: int, days: float, delete: bool) -> Collection:
    """What would be removed and why the rest stays; with `delete` it is removed.

    Raises StorageError while the registry does not answer, since what it holds could not be known,
    Busy where something is to be deleted while a run goes on, and ConfigError for days that are no
    number, than which nothing would be younger.
    """
    if not days >= 0:
        raise ConfigError(f"--days is {days:g}", where="--days", hint="a number, 0 or more")
    with holding(home.locks / "pipelines.lock", "removing what nothing reaches", wait=60):
        if delete:
            _nothing_runs(home)
        everything = _everything(home)
        kept = _closed(everything, _reasons(home, everything, keep_runs, days))
        going = [one for one in everything if one.key not in kept]
        told = Collection(
            removed=tuple(_told(one, "nothing reaches it") for one in going),
            kept=tuple(_told(one, kept[one.key]) for one in everything if one.key in kept),
            deleted=delete,
        )
        if delete:
            for one in going:
                _away(home, one)
    if delete:
        for path in home.runs.glob(f"{GOING}*"):
            shutil.rmtree(path, ignore_errors=True)
    return told


def _nothing_runs(home: Home) -> None:
    for pipeline in pipelines.everyone(home):
        if pipelines.alive(home, pipeline):
            raise Busy(
                f"{pipeline.id} runs, and may use what it would remove",
                where=pipeline.id,
                hint="wait for it, or stop it with ganlib cancel",
            )


def _everything(home: Home) -> list[Stage]:
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(home.runs.iterdir()):
        if (match := FOLDER.match(path.name)) and path.is_dir():
            found.setdefault((match[1], match[2]), []).append(path)
    return [
        Stage(name, key, tuple(folders), _record(home, key))
        for (name, key), folders in found.items()
    ]


def _record(home: Home, key: str) -> Record | None:
    try:
        return records.read(home, key)
    except Damaged:
        return None


def _reasons(home: Home, everything: list[Stage], keep_runs: int, days: float) -> dict[str, str]:
    """Key -> what reaches it at first hand."""
    kept: dict[str, str] = {}

    def keep(short: str, why: str) -> None:
        for one in everything:
            if one.key.startswith(short):
                kept.setdefault(one.key, why)

    for key, alias in _aliased(home, everything):
        keep(key, alias)
    for short in _unsent(home):
        keep(short, "MLflow does not have all of it yet")
    left = continuable(home)
    everyone = pipelines.everyone(home)
    newest = {pipeline.id for pipeline in everyone[-keep_runs:]} if keep_runs else set()
    for pipeline in reversed(everyone):
        unfinished = pipeline.id in left or pipelines.alive(home, pipeline)
        if unfinished or pipeline.id in newest:
            why = "is not over" if unfinished else f"is one of the newest {keep_runs}"
            for short in _used(home, pipeline.id):
                keep(short, f"{pipeline.id} {why}")
    for one in everything:
        if time.time() - one.finished < days * 86_400:
            keep(one.key, f"younger than {days:g} days")
    return kept


def _aliased(home: Home, everything: list[Stage]) -> Iterator[tuple[str, str]]:
    """What made the versions that hold an alias, and how these were evaluated."""
    from ganlib.tracking.registry import aliased_digests, digest_of

    aliased = aliased_digests(home)
    marks: dict[str, str] = {}
    for one in everything:
        for model in _models(one):
            folder = Path(model["folder"])
            alias = aliased.get(digest_of(folder)) if folder.is_dir() else None
            if alias:
                marks[model["fingerprint"]] = alias
                yield one.key, f"{alias} was made by it"
    for one in everything:
        for mark, alias in marks.items():
            if one.name == "evaluate" and mark in one.text:
                yield one.key, f"{alias} was evaluated by it"


def _models(one: Stage) -> list[dict[str, Any]]:
    result = one.record.result if one.record else {}
    return [result[name] for name in ("model", "judge", "selector") if _is_model(result.get(name))]


def _is_model(value: Any) -> bool:
    return isinstance(value, dict) and {"folder", "fingerprint"} <= set(value)


def _unsent(home: Home) -> Iterator[str]:
    from ganlib.tracking.drain import progress_of, whole_lines

    for path in home.spool.glob("*.jsonl"):
        match = RUN.match(path.stem)
        if match and progress_of(home, path.stem).offset < whole_lines(path):
            yield match[1]


def _used(home: Home, pipeline: str) -> Iterator[str]:
    """The first digits of the keys of the stages that a run did or reused."""
    for path in home.spool.glob(f"{pipeline}.*.jsonl"):
        if match := RUN.match(path.stem):
            yield match[1]
    names = _names(home)
    for line in read_journal(pipelines.journal_path(home, pipeline)):
        for tag, run in line["values"].items() if line["kind"] == "tags" else ():
            if tag.startswith("ganlib.reused.") and (match := RUN.match(names.get(run, run))):
                yield match[1]


def _names(home: Home) -> dict[str, str]:
    """MLflow's id of a run -> ours."""
    found = {}
    for path in home.spool.glob("*.run.json"):
        try:
            found[str(read_json(path)["run_id"])] = path.name.removesuffix(".run.json")
        except (OSError, Damaged, KeyError, TypeError):
            continue
    return found


def _closed(everything: list[Stage], kept: dict[str, str]) -> dict[str, str]:
    """With what those that are kept were made from."""
    waiting = [one for one in everything if one.key in kept]
    while waiting:
        user = waiting.pop()
        for one in everything:
            if one.key not in kept and _made_from(user, one):
                kept[one.key] = f"{user.name} {user.key[:8]} was made from it"
                waiting.append(one)
    return kept


def _made_from(user: Stage, one: Stage) -> bool:
    if one.record is None:
        return False
    result = one.record.result
    marks = [str(path) for path in one.folders] + [model["fingerprint"] for model in _models(one)]
    if one.name == "prepare":
        marks.append(result["fingerprint"])
    if any(json.dumps(mark)[1:-1] in user.text for mark in marks):
        return True
    if one.name != "sweep" or user.name != "gan" or user.record is None:
        return False
    same = ("selector", "dataset")  # its settings went into what was trained
    return user.record.result.get("overlay") == result.get("overlay") and all(
        user.record.values.get(part) == one.record.values.get(part) for part in same
    )


def _told(one: Stage, why: str) -> Collected:
    size = sum(
        path.stat().st_size
        for folder in one.folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    return Collected(stage=one.name, key=one.key, finished=one.finished, bytes=size, why=why)


def _away(home: Home, one: Stage) -> None:
    """The record first: a stage without one is done again, one without its files would be a lie."""
    with holding(home.locks / f"stage-{one.key}.lock", f"removing {one.name} {one.key[:8]}"):
        (home.stages / one.key / "record.json").unlink(missing_ok=True)
        shutil.rmtree(home.stages / one.key, ignore_errors=True)
        for folder in one.folders:
            folder.rename(folder.with_name(f"{GOING}{folder.name}"))
