"""Wrong values are refused before anything is started, not hours later where they are used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ganlib.config import (
    ClassifierConfig,
    GanConfig,
    PipelineConfig,
    canonical_json,
    require_extractors,
)
from ganlib.config.code import find
from ganlib.config.custom import resolve
from ganlib.errors import ConfigError, NotFound, StorageError
from ganlib.stages import classifiers, judges, named, prepare, space, why
from ganlib.stages.values import DatasetRef
from ganlib.storage import Home, read_json


def check(
    home: Home, config: PipelineConfig, *, fresh: bool = False, until: str = "promote"
) -> None:
    """The source of images, the models to start from, networks and the user's own parts are there.

    Modules of a user's own are imported, torch with them perhaps, only if there is a stage to do,
    and what the extractors of an evaluation need is asked for only then.
    Raises ConfigError, DataError or NotFound naming the key.
    """
    space.check(config)
    if until == "classifiers":
        classifiers.required(config)
    if until != "prepare":
        judges.networks(config)
    prepare.parts(config)
    _start(home, config, "classifier", "classifier", config.classifier)
    _start(home, config, "generator", "gan", config.gan)
    own = [part for part in _own(json.loads(canonical_json(config))) if part[0] != "data.source"]
    for path, build in own:
        if find(build.partition(":")[0]) is None:
            resolve(build, f"{path}.build")  # says why not
    others = config.evaluation.others()
    if (own or others) and (fresh or why.done(home, config)[1] is not None):
        require_extractors(others, config.data.channels)
        for path, build in own:
            resolve(build, f"{path}.build")


def data(home: Home, config: PipelineConfig, dataset: DatasetRef, until: str) -> None:
    """The images suffice to judge by, and are such as the champions of this name were made for.

    A champion counts only on the way to `promote`, and only if the registry answers. Raises
    ConfigError.
    """
    prepare.enough(config, dataset.counts)
    if until != "promote":
        return
    from ganlib.tracking import champion_network

    for kind in ("generator", "classifier"):
        name = f"{config.name}-{kind}"
        try:
            found = champion_network(home, name)
        except StorageError:
            return
        if found is not None:
            _same_images(name, found, dataset)


def _same_images(name: str, found: Mapping[str, Any], dataset: DatasetRef) -> None:
    theirs = tuple(found["classes"]), found["size"], found["channels"]
    ours = dataset.classes, dataset.size, dataset.channels
    if theirs == ours:
        return
    was, now = (f"{_classes(k)} at {hw} pixels in {c} channels" for k, hw, c in (theirs, ours))
    other = sorted(set(theirs[0]) ^ set(ours[0]))
    raise ConfigError(
        f"the champion of {name} was made for other images: {was}, and the data has {now}"
        + (f"; only one of them knows {', '.join(other[:4])}" if other else ""),
        where="name",
        hint="the two cannot be compared: give the pipeline another name, --set name=...",
    )


def _classes(names: Sequence[str]) -> str:
    """A single class is none."""
    return f"{len(names)} classes" if len(names) > 1 else "no classes"


def _start(
    home: Home,
    config: PipelineConfig,
    kind: Literal["classifier", "generator"],
    name: str,
    settings: ClassifierConfig | GanConfig,
) -> None:
    """`init_from` is there, is of its kind, and has the size of the images."""
    if settings.init_from is None:
        return
    try:
        folder = named.exported(home, settings.init_from, kind)
    except NotFound as error:
        raise ConfigError(
            f"{name}.init_from: {error.message}", where=f"{name}.init_from", hint=error.hint
        ) from None
    found = read_json(folder / "network.json")
    theirs, ours = (found["size"], found["channels"]), (config.data.size, config.data.channels)
    if theirs != ours:
        raise ConfigError(
            f"{name}.init_from={settings.init_from} was made for {theirs[0]} pixels in "
            f"{theirs[1]} channels, and the data has {ours[0]} in {ours[1]}",
            where=f"{name}.init_from",
            hint=f"set data.size={theirs[0]} and data.channels={theirs[1]}",
        )


def _own(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted path and `build` of each part of kind custom; in a sweep's space also."""
    if isinstance(tree, dict):
        if tree.get("kind") == "custom" and isinstance(tree.get("build"), str):
            yield path, tree["build"]
            return
        for name, below in tree.items():
            yield from _own(below, f"{path}.{name}" if path else name)
    elif isinstance(tree, list):
        for below in tree:
            yield from _own(below, path)
