"""What players ask of the image size, and the settings that do not combine."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from ganlib.config import Custom, DiscriminatorNetwork, GeneratorNetwork
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
    ("union", "settings", "reason"),
    [
        (GeneratorNetwork, {"kind": "mlp", "norm": "instance"}, "averages over pixels"),
        (DiscriminatorNetwork, {"kind": "mlp", "norm": "instance"}, "averages over pixels"),
        (
            GeneratorNetwork,
            {"kind": "mlp", "norm": "layer", "batch_norm_momentum": 0.3},
            "batch_norm_momentum is set, and norm is layer",
        ),
        (GeneratorNetwork, {"kind": "mlp", "widths": []}, "widths"),
        (DiscriminatorNetwork, {"kind": "dcgan", "minibatch_stddev": 1}, "no deviation"),
        (GeneratorNetwork, {"kind": "dcgan", "norm": "group"}, "'batch', 'instance'"),
        (DiscriminatorNetwork, {"kind": "dcgan", "spectral_norm": True}, "spectral_norm"),
        (GeneratorNetwork, {"kind": "dcgan", "conditioning": "projection"}, "'concatenation'"),
        (GeneratorNetwork, {"kind": "sn_resnet", "width": 64, "max_width": 32}, "less than width"),
        (DiscriminatorNetwork, {"kind": "r3gan", "norm": "batch"}, "has no place for a norm"),
        (DiscriminatorNetwork, {"kind": "r3gan", "width": 12}, "not a multiple of group_size, 16"),
        (GeneratorNetwork, {"kind": "r3gan", "max_width": 100}, "max_width times expansion is 200"),
    ],
)
def test_what_does_not_combine_is_refused_with_the_reason(union, settings, reason):
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(union).validate_python(settings)


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
