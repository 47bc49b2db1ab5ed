"""A user's own network: found by the name of the function that builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganlib.config.custom import resolve
from ganlib.errors import ConfigError
from ganlib.models.layers import BatchNorm, Replicas


def build_custom(
    build: str, options: Mapping[str, Any], *, replicas: Replicas | None = None, **data: int
) -> nn.Module:
    """Call `package.module:function` with size=, channels=, classes= and the options.

    One that has `replicas=None` among its parameters is given `replicas`, for its batch norms. The
    module remembers `build` and `arguments`, so that `save_model` can write them. Raises
    ConfigError naming `build` if it cannot be imported, fails, gives no nn.Module, or normalises
    over the images of one of several workers alone.
    """
    function = resolve(build)
    wants = replicas is not None and _takes_replicas(function)
    try:
        module = function(**data, **options, **({"replicas": replicas} if wants else {}))
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
    if replicas is not None and replicas.world > 1:
        _require_global(module, build, replicas.world)
    return module


def _takes_replicas(function: Callable[..., Any]) -> bool:
    try:
        found = signature(function).parameters.get("replicas")
    except (TypeError, ValueError):  # written in C
        return False
    return found is not None and found.kind is not Parameter.POSITIONAL_ONLY


def _require_global(module: nn.Module, build: str, world: int) -> None:
    """Statistics of a worker's own images differ between workers, and with them the weights."""
    for name, layer in module.named_modules():
        ours = isinstance(layer, BatchNorm) and layer.replicas.world == world
        if isinstance(layer, (BatchNorm, _BatchNorm)) and not ours:
            raise ConfigError(
                f"{build}: {name} is a {type(layer).__name__} over one worker's images alone, and "
                f"there are {world} workers",
                where="build",
                hint=f"give {build.partition(':')[2]} a parameter replicas=None, and use "
                "ganlib.models.layers.BatchNorm(channels, replicas=replicas)",
            )


def normalises_over_batch(module: nn.Module) -> bool:
    """Whether a batch norm, ours or torch's, is among its layers."""
    return any(isinstance(layer, (BatchNorm, _BatchNorm)) for layer in module.modules())


def require(module: nn.Module, build: str, kind: str, names: tuple[str, ...]) -> None:
    """Raises ConfigError if a user's network lacks what every network of its kind has."""
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise ConfigError(
            f"the {kind} of {build} has no {', '.join(missing)}",
            where="build",
            hint=f"a {kind} has the attributes {', '.join(names)} beside forward",
        )
