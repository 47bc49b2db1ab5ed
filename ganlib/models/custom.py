"""A user's own network: found by the name of the function that builds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ganlib.config.custom import resolve
from ganlib.errors import ConfigError


def build_custom(build: str, options: Mapping[str, Any], **data: int) -> nn.Module:
    """Call `package.module:function` with size=, channels=, classes= and the options.

    The module remembers `build` and `arguments`, so that `save_model` can write them. Raises
    ConfigError naming `build` if it cannot be imported, fails, or gives no nn.Module.
    """
    function = resolve(build)
    try:
        module = function(**data, **options)
    except TypeError as error:
        raise ConfigError(
            f"{build} cannot be called: {error}",
            where="build",
            hint=f"it gets the keywords {', '.join(data)} and those of options",
        ) from error
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f"{build} gives {type(module).__name__}, not a torch.nn.Module", where="build"
        )
    module.arguments = {**data, **options}  # type: ignore[assignment]
    module.build = build  # type: ignore[assignment]
    return module


def require(module: nn.Module, build: str, kind: str, names: tuple[str, ...]) -> None:
    """Raises ConfigError if a user's network lacks what every network of its kind has."""
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise ConfigError(
            f"the {kind} of {build} has no {', '.join(missing)}",
            where="build",
            hint=f"a {kind} has the attributes {', '.join(names)} beside forward",
        )
