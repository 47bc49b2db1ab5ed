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
    base = GanConfig(batch_size=BATCH)
    for player in ("generator", "discriminator"):
        base = overlay(base, {f"{player}.network": {"kind": network, **SMALL[network]}})
    changes = {"loss.kind": loss, "penalties": penalties}
    unbounded = loss == "wasserstein" and "wgan_gp" not in penalties
    if unbounded and base.discriminator.network.norm != "spectral":
        with pytest.raises(ConfigError, match="Wasserstein"):
            overlay(base, changes)
        return
    config = overlay(base, changes)
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
    for number in range(STEPS):
        images = stream(number, "images")
        image_NHWC = torch.randint(0, 256, (BATCH, SIZE, SIZE, 3), generator=images).byte()
        label_N = torch.randint(0, 3, (BATCH,), generator=images)
        scalars = task.step(Batch(image_NHWC, label_N), number * BATCH, Replicas())
        for name, value in scalars.items():
            assert torch.isfinite(value), (number, name)
    for name, tensor in task.state_dict().items():
        assert torch.isfinite(tensor).all(), name
