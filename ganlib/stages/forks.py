"""A run that goes on from a snapshot of another one, with something changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.config import DataConfig, GanConfig, PipelineConfig, parse
from ganlib.errors import ConfigError, InputError, NotFound
from ganlib.stages import pipelines
from ganlib.storage import Home
from ganlib.training import Origin, RunIdentity, read_journal

HINT = "give RUN@CLOCK; ganlib status lists the runs"


@dataclass(frozen=True)
class Fork:
    """`config` is what `run` was trained with at that clock, changes of a rescue included."""

    name: str
    run: str
    config: PipelineConfig
    origin: Origin
    digest: str


def fork(home: Home, name: str) -> Fork:
    """Of `RUN@CLOCK`, where RUN is a GAN's run, or the pipeline run that trained one.

    Raises InputError for another form, NotFound for a run that is not there and for a clock of
    which no snapshot is left, naming those that are; Damaged.
    """
    from ganlib.training import forensics

    run, _, text = name.rpartition("@")
    if not run or not text.replace("_", "").replace(",", "").isdecimal():
        raise InputError(f"{name!r} names no snapshot", where="from", hint=HINT)
    clock = int(text.replace("_", "").replace(",", ""))
    identity = _identity(home, run)
    folder = Path(identity.tags["ganlib.folder"])
    there = forensics.clocks(folder)
    if clock not in there:
        known = ", ".join(f"{one:,}" for one in there)
        raise NotFound(
            f"{identity.id} has no snapshot at {clock:,} images",
            where=name,
            hint=f"there are those at {known} images" if known else "it has none at all",
        )
    found = there[clock].read(clock)
    pipeline = pipelines.read(home, identity.id.partition(".")[0])
    config = parse(PipelineConfig, pipeline.config | {"gan": dict(found.belongs["config"])}, name)
    origin = Origin(folder=str(folder), clock=clock)
    digest = there[clock].identity(found.belongs)
    return Fork(f"{identity.id}@{clock}", identity.id, config, origin, digest)


def check(config: GanConfig, start: Fork, data: DataConfig | None = None) -> None:
    """Raises ConfigError for what a snapshot cannot go on with; `data` where it is known."""
    before, clock = start.config.gan, start.origin.clock
    for path in ("size", "channels"):
        known, given = (
            getattr(one, path) for one in (start.config.data, data or start.config.data)
        )
        if known != given:
            raise ConfigError(
                f"data.{path} is {given}, and {start.name} was trained with {known}: weights have "
                "the shapes of its images",
                where=f"data.{path}",
                hint="leave the images as they were, or begin anew without --from",
            )
    for path, was, now in (
        ("generator.network", before.generator.network, config.generator.network),
        ("discriminator.network", before.discriminator.network, config.discriminator.network),
    ):
        if was != now:
            raise ConfigError(
                f"gan.{path} is another one than that of {start.name}, whose weights have the "
                "shapes of theirs",
                where=f"gan.{path}",
                hint="leave the network as it was, or begin anew without --from",
            )
    if config.discriminator.packing < before.discriminator.packing:
        raise ConfigError(
            f"gan.discriminator.packing is {config.discriminator.packing}, and {start.name} judges "
            f"{before.discriminator.packing} images together: its first layer has their shape",
            where="gan.discriminator.packing",
            hint="more images may be judged together, fewer may not",
        )
    turn = config.batch_size * config.discriminator.steps
    if clock % turn:
        raise ConfigError(
            f"{clock:,} images are no multiple of the {turn} that a step takes",
            where="gan.batch_size",
            hint=f"take a batch size that divides {clock:,}",
        )
    if clock >= config.budget.images // turn * turn:
        raise ConfigError(
            f"gan.budget.images is {config.budget.images:,}, and {start.name} has seen {clock:,}",
            where="gan.budget.images",
            hint="set gan.budget.images to where training is to end",
        )


def _identity(home: Home, run: str) -> RunIdentity:
    every = list(_trained(home))
    found = [one for one in every if run in (one.id, one.id.partition(".")[0])]
    if not found:
        known = ", ".join(one.id for one in every[-5:])
        raise NotFound(
            f"there is no run {run!r} that trained a GAN",
            where=run,
            hint=f"there are {known}" if known else HINT,
        )
    return found[-1]


def _trained(home: Home) -> Iterator[RunIdentity]:
    """Of this home, the one that began last at the end; trials of a sweep as well."""
    begun: list[tuple[float, RunIdentity]] = []
    for path in home.spool.glob("*.jsonl"):
        line: dict[str, Any] | None = next(iter(read_journal(path)), None)
        if line is None or line["kind"] != "open":
            continue
        identity = RunIdentity.model_validate(line["identity"])
        folder = Path(identity.tags.get("ganlib.folder", "/nowhere"))
        if identity.stage in ("gan", "sweep") and (folder / "snapshots").is_dir():
            begun.append((float(line["t"]), identity))
    yield from (identity for _, identity in sorted(begun, key=lambda one: one[0]))
