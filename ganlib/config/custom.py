"""A user's own part, named by where it is built."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal, cast

from pydantic import Field

from ganlib.config.base import Config
from ganlib.errors import ConfigError


class Custom(Config):
    """`build` is called once, by the owning package, with the arguments its docstring names."""

    kind: Literal["custom"] = "custom"
    build: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="package.module:function"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="passed as keywords")


def resolve(build: str, where: str = "build") -> Callable[..., Any]:
    """The function named `package.module:function`.

    Raises ConfigError naming the key `where` if it is not there.
    """
    name, _, attribute = build.partition(":")
    try:
        found = getattr(importlib.import_module(name), attribute)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise ConfigError(
            f"{where}={build} cannot be imported: {error}",
            where=where,
            hint="write package.module:function, and put the package on PYTHONPATH",
        ) from error
    if not callable(found):
        raise ConfigError(f"{where}={build} is not a function", where=where)
    return cast(Callable[..., Any], found)
