"""The options every command takes, and the configuration they amount to."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ganlib.errors import ConfigError

if TYPE_CHECKING:
    from ganlib.config import PipelineConfig

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_TARGET = "digits"

EPILOG = """\b
Exit codes: 0 done; 1 failed; 2 bad input or configuration;
3 done but not promoted; 130 interrupted."""


@dataclass(frozen=True)
class Options:
    """What stands behind `--set`, `--home`, `--fresh` and `--json`."""

    assignments: tuple[str, ...] = ()
    home: Path | None = None
    fresh: bool = False
    json: bool = False

    @property
    def place(self) -> Path:
        """The home's absolute path; nothing is created."""
        from ganlib.storage import Home

        return Home.locate(self.home)

    def config(self, target: str | None) -> PipelineConfig:
        """Recipe, file or folder `target` (default: digits) with `--set` applied.

        Raises ConfigError or NotFound before anything has been started.
        """
        from ganlib.config import load, overlay, parse_assignments

        changes = parse_assignments(self.assignments)
        if target in ("folder", "unlabelled") and not any(
            path.startswith("data.source") for path in changes
        ):
            raise ConfigError(
                f"the recipe {target} has no images of its own: give the folder itself",
                where="data.source.path",
                hint=f"ganlib run path/to/folder; a folder of that name is given as {target}/",
            )
        return overlay(load(DEFAULT_TARGET if target is None else target), changes)

    def newest_pipeline(self) -> Path | None:
        """The configuration file of the run that was begun last in this home."""
        kept = (self.place / "runs" / "pipelines").glob("p-*.yaml")
        return max(kept, key=lambda path: path.stat().st_mtime, default=None)

    def unused(self, *, fresh: bool = True) -> None:
        """Say so when options were given that mean nothing to this command."""
        given = ["--set"] if self.assignments else []
        if fresh and self.fresh:
            given.append("--fresh")
        if given:
            click.echo(f"{' and '.join(given)}: this command has no use for it", err=True)


def common(function: F) -> F:
    """Add the four options; the command gets them as its first argument, an `Options`."""

    @functools.wraps(function)
    def command(
        assignments: tuple[str, ...], home: Path | None, fresh: bool, json: bool, **rest: Any
    ) -> Any:
        context = click.get_current_context()
        if isinstance(context.find_root().obj, list):
            context.find_root().obj.append(command_name(context))
        return function(Options(assignments, home, fresh, json), **rest)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command  # type: ignore[return-value]


class Finite(click.FloatRange):
    """A range of finite numbers: NaN lies in click's own, and as a limit would never be reached."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not finite", param, ctx)
        return number


def data_folders() -> tuple[Path, ...]:
    """Where named datasets are looked for first: what GANLIB_DATA names, if it names anything."""
    named = os.environ.get("GANLIB_DATA")
    return (Path(named),) if named else ()


def command_name(context: click.Context) -> str:
    """`model.promote` for `ganlib model promote`; nothing for `ganlib` itself."""
    return ".".join(context.command_path.split()[1:])


_OPTIONS = (
    click.option(
        "--set",
        "assignments",
        metavar="PATH=VALUE",
        multiple=True,
        help="Change one setting, e.g. gan.budget.images=50000. May be given many times.",
    ),
    click.option(
        "--home",
        metavar="DIR",
        type=click.Path(path_type=Path),
        envvar="GANLIB_HOME",
        help="Where everything is kept.  [env: GANLIB_HOME; default: .ganlib here]",
    ),
    click.option(
        "--fresh", is_flag=True, help="Do it again although it is done; nothing is deleted."
    ),
    click.option(
        "--json", is_flag=True, help="One JSON document on standard output, all else on stderr."
    ),
)
