"""Two workers with half a batch each, averaged, are one worker with all of it."""

from __future__ import annotations

from typing import Any, get_args

import torch

from ganlib.config import AdversarialLoss, Custom, Penalties
from ganlib.determinism import FlatGradients, Replicas
from ganlib.losses import build, build_penalties
from tests.losses.test_penalties import images, network
from tests.ranks import on_ranks

LOSSES = [member() for member in get_args(get_args(AdversarialLoss)[0]) if member is not Custom]
EVERY_PENALTY = Penalties.model_validate({name: {} for name in Penalties.model_fields})


def gradients(replicas: Replicas) -> dict[str, Any]:
    """By objective: its mean and the gradient by all weights, over all ranks."""
    real, fake, mix = map(replicas.slice, images(8))
    discriminate = network("conv", "softplus")
    flat = FlatGradients(discriminate.parameters())
    objectives = {
        penalty.name: lambda penalty=penalty: penalty.of(discriminate, real, fake, mix)
        for penalty in build_penalties(EVERY_PENALTY)
    }
    for config in LOSSES:
        loss = build(config)
        objectives[f"{config.kind}/discriminator"] = lambda loss=loss: loss.discriminator(
            discriminate(real), discriminate(fake)
        )
        objectives[f"{config.kind}/generator"] = lambda loss=loss: loss.generator(
            discriminate(fake), discriminate(real)
        )
    found = {}
    for name, objective in objectives.items():
        flat.zero()
        mean = objective().mean()
        (mean / replicas.world).backward()
        flat.sum(replicas)
        found[name] = (replicas.mean(mean), flat.flat.clone())
    return found


def test_the_mean_over_two_ranks_is_that_of_one():
    (alone,) = on_ranks(1, gradients)
    for rank in on_ranks(2, gradients):
        assert rank.keys() == alone.keys()
        for name, (mean, gradient) in rank.items():
            torch.testing.assert_close(mean, alone[name][0], rtol=1e-12, atol=1e-14)
            difference = (gradient - alone[name][1]).norm()
            assert difference <= 1e-12 * alone[name][1].norm(), name
