"""Every loss with every penalty it allows and every pair of networks, for fifty steps."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import pytest
import torch

from ganlib.config import (
    AdversarialLoss,
    Custom,
    DiscriminatorNetwork,
    GanConfig,
    GeneratorNetwork,
    overlay,
)
from ganlib.determinism import Replicas, stream
from ganlib.errors import ConfigError
from ganlib.training.gan_task import GanTask
from ganlib.training.loop import Batch
from ganlib.training.precision import resolve

STEPS, SIZE, BATCH = 50, 8, 8
SMALL = {
    "mlp": {"widths": (16, 16)},
    "dcgan": {"width": 8},
    "sn_resnet": {"width": 8, "max_width": 8},
    "r3gan": {"width": 8, "max_width": 8, "group_size": 4},
}


def kinds(union: Any) -> list[str]:
    members = get_args(get_args(union)[0])
    return [m.model_fields["kind"].default for m in members if m is not Custom]


PENALTIES: tuple[dict[str, Any], ...] = (
    {},
    {"wgan_gp": {"weight": 10}},
    {"r1": {"gamma": 1}},
    {"r2": {"gamma": 1}},
    {"r1": {"gamma": 1}, "r2": {"gamma": 1}},
    {"wgan_gp": {"weight": 1, "every": 4}, "r1": {"gamma": 1, "every": 2}, "r2": {"gamma": 1}},
)
CELLS = list(product(kinds(AdversarialLoss), PENALTIES, kinds(GeneratorNetwork)))


def test_generators_and_discriminators_come_in_pairs() -> None:
    assert set(kinds(GeneratorNetwork)) == set(kinds(DiscriminatorNetwork)) == set(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "penalties", "network"),
    CELLS,
    ids=[f"{loss}-{'+'.join(penalties) or 'none'}-{kind}" for loss, penalties, kind in CELLS],
)
def test_it_stays_finite(loss: str, penalties: dict[str, Any], network: str) -> None:
    base = overlay(GanConfig(batch_size=BATCH), networks(network, network))
    changes = {"loss.kind": loss, "penalties": penalties}
    unbounded = loss == "wasserstein" and "wgan_gp" not in penalties
    if unbounded and base.discriminator.network.norm != "spectral":
        with pytest.raises(ConfigError, match="Wasserstein"):
            overlay(base, changes)
        return
    assert_it_stays_finite(overlay(base, changes), STEPS)


@pytest.mark.parametrize("steps", [1, pytest.param(STEPS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("judging", kinds(DiscriminatorNetwork))
@pytest.mark.parametrize("making", kinds(GeneratorNetwork))
def test_any_generator_plays_with_any_discriminator(making: str, judging: str, steps: int) -> None:
    assert_it_stays_finite(overlay(GanConfig(batch_size=BATCH), networks(making, judging)), steps)


def networks(making: str, judging: str) -> dict[str, Any]:
    return {
        "generator.network": {"kind": making, **SMALL[making]},
        "discriminator.network": {"kind": judging, **SMALL[judging]},
    }


def assert_it_stays_finite(config: GanConfig, steps: int) -> None:
    """And both players move."""
    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    task = GanTask(
        config,
        size=SIZE,
        channels=3,
        classes=("a", "b", "c"),
        arithmetic=resolve("float32", cpu, SIZE),
        replicas=Replicas(),
        device=cpu,
    )
    start = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    for number in range(steps):
        images = stream(number, "images")
        image_NHWC = torch.randint(0, 256, (BATCH, SIZE, SIZE, 3), generator=images).byte()
        label_N = torch.randint(0, 3, (BATCH,), generator=images)
        scalars = task.step(Batch(image_NHWC, label_N), number * BATCH, Replicas())
        for name, value in scalars.items():
            assert torch.isfinite(value), (number, name)
    state = task.state_dict()
    for name, tensor in state.items():
        assert torch.isfinite(tensor).all(), name
    for player in ("generator", "discriminator"):
        weights = [name for name in start if name.startswith(f"{player}.")]
        assert any(not torch.equal(start[name], state[name]) for name in weights), player
