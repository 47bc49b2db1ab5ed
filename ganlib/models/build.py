"""From a network's configuration and the shape of the data to its module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from torch import nn

from ganlib.config import (
    AlexNet,
    CifarResNet,
    ClassifierNetwork,
    Custom,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorNetwork,
    GeneratorNetwork,
    LeNet5,
    MlpDiscriminator,
    MlpGenerator,
    R3ganDiscriminator,
    R3ganGenerator,
    ResNet18,
    SmallResNet,
    SnResNetDiscriminator,
    SnResNetGenerator,
)
from ganlib.config.gan_networks import Network
from ganlib.errors import ConfigError
from ganlib.models import cnn, gan
from ganlib.models.custom import build_custom, require
from ganlib.models.layers import Replicas


def build_classifier(
    network: ClassifierNetwork,
    *,
    size: int,
    channels: int,
    classes: int,
    replicas: Replicas | None = None,
) -> nn.Module:
    """image_NCHW -> logits_NK, which are `head(features(image_NCHW))`; has `feature_size`.

    Raises ConfigError naming data.size if the network cannot be that small, or naming build.
    """
    data = {"size": size, "channels": channels, "classes": classes}
    match network:
        case LeNet5(width=width):
            return cnn.LeNet5(**data, width=width)
        case SmallResNet(width=width, blocks=blocks):
            return cnn.SmallResNet(**data, width=width, blocks=blocks, replicas=replicas)
        case CifarResNet(depth=depth):
            return cnn.CifarResNet(**data, depth=depth, replicas=replicas)
        case ResNet18(stem=stem, width=width):
            sizes = network.needs(size)
            return _fit(cnn.ResNet18, sizes, **data, stem=stem, width=width, replicas=replicas)
        case AlexNet(variant=variant, width=width, dropout=dropout):
            own = {"variant": variant, "width": width, "dropout": dropout}
            return _fit(cnn.AlexNet, network.needs(size), **data, **own)
        case Custom(build=build, options=options):
            module = build_custom(build, options, replicas=replicas, **data)
            require(module, build, "classifier", ("features", "head", "feature_size"))
            return module
        case _:
            assert_never(network)


def build_generator(
    network: GeneratorNetwork,
    *,
    size: int,
    channels: int,
    classes: int,
    replicas: Replicas | None = None,
) -> nn.Module:
    """(z_NZ, label_N) -> image_NCHW in [-1, 1]; has `latent_size` and `latent`.

    Raises ConfigError naming data.size if the network cannot make that size, or naming build.
    """
    data = {"size": size, "channels": channels, "classes": classes}
    match network:
        case DcganGenerator():
            return _player(gan.dcgan.Generator, network, data, replicas=replicas)
        case MlpGenerator():
            return _player(gan.mlp.Generator, network, data, replicas=replicas)
        case SnResNetGenerator():
            return _player(gan.sn_resnet.Generator, network, data, replicas=replicas)
        case R3ganGenerator():
            return _player(gan.r3gan.Generator, network, data, replicas=replicas)
        case Custom(build=build, options=options):
            module = build_custom(build, options, replicas=replicas, **data)
            require(module, build, "generator", ("latent_size",))
            return module
        case _:
            assert_never(network)


def build_discriminator(
    network: DiscriminatorNetwork,
    *,
    size: int,
    channels: int,
    classes: int,
    replicas: Replicas | None = None,
    packing: int = 1,
    bias: bool = True,
) -> nn.Module:
    """(image_NCHW, label_N) -> logit_N, above zero for real.

    With `packing` M > 1 (Lin et al. 2018) one sample is M images on top of each other, M * channels
    in all, and its labels are (N, M). Without `bias` our networks add none to the logit, for losses
    of differences of logits alone; a user's own is not told. Raises ConfigError naming data.size if
    the network cannot take that size, or naming build.
    """
    data = {"size": size, "channels": packing * channels, "classes": classes}
    ours = {**data, "bias": bias}
    match network:
        case DcganDiscriminator():
            return _player(gan.dcgan.Discriminator, network, ours, replicas=replicas)
        case MlpDiscriminator():
            return _player(gan.mlp.Discriminator, network, ours, replicas=replicas)
        case SnResNetDiscriminator():
            return _player(gan.sn_resnet.Discriminator, network, ours, replicas=replicas)
        case R3ganDiscriminator():
            return _player(gan.r3gan.Discriminator, network, ours, replicas=replicas)
        case Custom(build=build, options=options):
            return build_custom(build, options, replicas=replicas, **data)
        case _:
            assert_never(network)


def _player(
    player: Callable[..., nn.Module],
    network: Network,
    data: dict[str, int],
    *,
    replicas: Replicas | None,
) -> nn.Module:
    """The player with every field of its configuration; `arguments` are what builds it again."""
    if needs := network.needs(data["size"]):
        raise ConfigError(
            f"{network.kind} cannot have {data['size']} pixels",
            where="data.size",
            hint=f"set data.size to {needs}",
        )
    arguments = {**data, **network.model_dump(mode="json", exclude={"kind"})}
    module = player(**arguments, replicas=replicas)
    module.arguments = arguments  # type: ignore[assignment]
    return module


def _fit(network: Callable[..., nn.Module], sizes: str, /, **arguments: Any) -> nn.Module:
    try:
        return network(**arguments)
    except ValueError as error:
        raise ConfigError(
            str(error), where="data.size", hint=f"set data.size to {sizes}"
        ) from error
