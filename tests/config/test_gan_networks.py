"""What players ask of the image size, and the settings that do not combine."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import TypeAdapter

from ganlib.config import Custom, DiscriminatorNetwork, GeneratorNetwork, PipelineConfig, parse
from ganlib.errors import ConfigError
from ganlib.models.gan.sizes import halvings, sides

MEMBERS = [
    member
    for union in (GeneratorNetwork, DiscriminatorNetwork)
    for member in get_args(get_args(union)[0])
    if member is not Custom
]


def possible(function, *arguments):
    try:
        function(*arguments)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("member", MEMBERS)
def test_needs_is_empty_exactly_where_the_network_can_be_built(member):
    network = member()
    for size in range(4, 257):
        match network.kind:
            case "mlp":
                fits = True
            case "sn_resnet" if hasattr(network, "smallest"):
                fits = possible(halvings, size, network.smallest)
            case _:
                fits = possible(sides, size)
        assert (network.needs(size) == "") == fits, size
    for size in range(8, 257):
        assert network.needs(size) == "", size


@pytest.mark.parametrize(
    ("player", "settings", "at", "reason"),
    [
        ("generator", {"kind": "mlp", "norm": "instance"}, "norm", "averages over pixels"),
        ("discriminator", {"kind": "mlp", "norm": "instance"}, "norm", "averages over pixels"),
        (
            "generator",
            {"kind": "mlp", "norm": "layer", "batch_norm_momentum": 0.3},
            "batch_norm_momentum",
            "batch_norm_momentum is set, and norm is layer",
        ),
        ("generator", {"kind": "mlp", "widths": []}, "widths", "at least 1"),
        (
            "discriminator",
            {"kind": "dcgan", "minibatch_stddev": 1},
            "minibatch_stddev",
            "no deviation",
        ),
        ("generator", {"kind": "dcgan", "norm": "group"}, "norm", "'batch', 'instance'"),
        (
            "discriminator",
            {"kind": "dcgan", "spectral_norm": True},
            "spectral_norm",
            "there is no setting",
        ),
        (
            "generator",
            {"kind": "dcgan", "conditioning": "projection"},
            "conditioning",
            "'concatenation'",
        ),
        (
            "generator",
            {"kind": "sn_resnet", "width": 64, "max_width": 32},
            "max_width",
            "less than width",
        ),
        ("discriminator", {"kind": "r3gan", "norm": "batch"}, "norm", "has no place for a norm"),
        (
            "discriminator",
            {"kind": "r3gan", "width": 12},
            "width",
            "not a multiple of group_size, 16",
        ),
        (
            "generator",
            {"kind": "r3gan", "max_width": 100},
            "max_width",
            "max_width times expansion is 200",
        ),
    ],
)
def test_what_does_not_combine_is_refused_by_the_setting_to_mend(player, settings, at, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        parse(PipelineConfig, {"name": "x", "gan": {player: {"network": settings}}})
    assert caught.value.where == f"gan.{player}.network.{at}"
    assert at in str(caught.value)


def test_the_first_tutorials_gan_can_be_said():
    network = TypeAdapter(GeneratorNetwork).validate_python(
        {
            "kind": "mlp",
            "widths": [256, 512, 1024],
            "latent_size": 100,
            "conditioning": "none",
            "batch_norm_momentum": 0.3,
        }
    )
    assert (network.slope, network.norm, network.widths) == (0.2, "batch", (256, 512, 1024))
