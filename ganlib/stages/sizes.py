"""How many parameters a recipe's networks have, counted without filling them with numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ganlib.config import Config, PipelineConfig

if TYPE_CHECKING:
    from torch import nn

CLASSES = 10
"""Where the images are not known yet."""


class Sizes(Config):
    """Parameters of each network, for ten classes; none of a classifier that is not trained."""

    classifier: int | None
    generator: int
    discriminator: int


def sizes(configs: Mapping[str, PipelineConfig]) -> dict[str, Sizes]:
    """By name. Raises ConfigError naming a user's own network that cannot be built."""
    from ganlib.losses import adversarial
    from ganlib.models import build_classifier, build_discriminator, build_generator

    counted: dict[tuple[Any, ...], int] = {}

    # Networks are built where tensors are, not on torch's meta device: its random numbers import
    # the compiler, which takes longer than all the rest.
    def of(build: Callable[..., nn.Module], network: Config, **data: int) -> int:
        key = (build, network.model_dump_json(), *data.values())
        if key not in counted:
            counted[key] = sum(p.numel() for p in build(network, **data).parameters())
        return counted[key]

    found: dict[str, Sizes] = {}
    with _unfilled():
        for name, config in configs.items():
            shape = {"size": config.data.size, "channels": config.data.channels, "classes": CLASSES}
            gan, trained = config.gan, config.judging.kind == "classifiers"
            found[name] = Sizes(
                classifier=of(build_classifier, config.classifier.network, **shape)
                if trained
                else None,
                generator=of(build_generator, gan.generator.network, **shape),
                discriminator=of(
                    build_discriminator,
                    gan.discriminator.network,
                    **shape,
                    packing=gan.discriminator.packing,
                    bias=not adversarial.build(gan.loss).differences,
                ),
            )
    return found


def _unfilled() -> Any:
    """A context in which weights keep what lies in their memory, which is not touched."""
    from torch.overrides import TorchFunctionMode

    class Unfilled(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if getattr(func, "__module__", "") == "torch.nn.init":
                return args[0] if args else kwargs["tensor"]
            return func(*args, **(kwargs or {}))

    return Unfilled()
