"""A sweep's space is checked before anything starts, not when its trials are drawn."""

from __future__ import annotations

from typing import assert_never

from ganlib.config import Choice, LogUniform, PipelineConfig, Range, Uniform, overlay
from ganlib.errors import ConfigError


def check(config: PipelineConfig) -> None:
    """Every path exists below the target and takes the ends of its range, alone.

    Raises ConfigError naming the path; the sizes that workers must divide stay as they are.
    """
    target = config.sweep.target
    for path, values in config.sweep.space.items():
        if not path.startswith(f"{target}."):
            raise ConfigError(
                f"sweep.space has {path!r}, which is not below {target}",
                where=f"sweep.space.{path}",
                hint=f"sweep.target is {target}: its paths begin with {target}.",
            )
        if path.startswith((f"{target}.budget", f"{target}.init_from")):
            raise ConfigError(
                f"sweep.space cannot vary {path}",
                where=f"sweep.space.{path}",
                hint="sweep.images is the budget of every trial",
            )
        for value in _ends(values):
            overlay(config, {path: value})


def _ends(values: Range) -> tuple[object, ...]:
    match values:
        case Choice():
            return values.values
        case Uniform() | LogUniform():
            return values.low, values.high
        case _:
            assert_never(values)
