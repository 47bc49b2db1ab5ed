"""What a discriminator makes of a group whose images are all the same. N images, G of a group."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from ganlib.config import Custom, DiscriminatorNetwork
from ganlib.models import build_discriminator

MEMBERS = [member for member in get_args(get_args(DiscriminatorNetwork)[0]) if member is not Custom]
GROUP, SIZE, CLASSES = 4, 16, 3
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"widths": (64, 64)},
    "dcgan": {"width": 16},
    "sn_resnet": {"width": 16, "max_width": 32},
    "r3gan": {"width": 16, "max_width": 32},
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def judge(member: Any, seed: int, group: int = GROUP) -> nn.Module:
    torch.manual_seed(seed)
    network = member(**SMALL[member().kind], minibatch_stddev=group, conditioning="none")
    return build_discriminator(network, size=SIZE, channels=1, classes=CLASSES)


def blobs(count: int, seed: int) -> Tensor:
    """Bright squares in places of their own."""
    generator = torch.Generator().manual_seed(seed)
    place_N2 = torch.randint(0, SIZE - 5, (count, 2), generator=generator)
    image_NCHW = 0.1 * torch.randn(count, 1, SIZE, SIZE, generator=generator) - 0.9
    for image_CHW, (row, column) in zip(image_NCHW, place_N2.tolist(), strict=True):
        image_CHW[:, row : row + 5, column : column + 5] = 0.9
    return image_NCHW


def collapsed(image_NCHW: Tensor) -> Tensor:
    """Each image a whole group of its own: the same images, and nothing beside them."""
    return image_NCHW.repeat_interleave(GROUP, 0)


def logits(module: nn.Module, image_NCHW: Tensor) -> Tensor:
    logit_N: Tensor = module(image_NCHW, torch.zeros(len(image_NCHW), dtype=torch.int64))
    return logit_N


@pytest.mark.parametrize("member", MEMBERS)
def test_a_collapsed_group_moves_the_logit_at_the_start(member: Any) -> None:
    """By a good part of what sets images apart, on the mean over eight initialisations."""
    moves = []
    for seed in range(8):
        module, image_NCHW = judge(member, seed).eval(), blobs(64, seed)
        with torch.no_grad():
            diverse_N = logits(module, image_NCHW)
            same_N = logits(module, collapsed(image_NCHW))[::GROUP]
        moves.append(float((same_N - diverse_N).abs().mean() / diverse_N.std()))
    assert sum(moves) / len(moves) > 0.2, moves


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("group", [0, GROUP])
def test_a_discriminator_learns_to_tell_collapsed_groups_by_nothing_else(
    member: Any, group: int
) -> None:
    """The collapsed images are real ones, repeated: one by one nobody could tell them apart."""
    module = judge(member, 0, group).train()
    optimiser = torch.optim.Adam(module.parameters(), 1e-3, betas=(0.0, 0.99))
    for step in range(60):
        real_N = logits(module, blobs(32, step))
        fake_N = logits(module, collapsed(blobs(8, 1000 + step)))
        loss = nn.functional.softplus(-real_N).mean() + nn.functional.softplus(fake_N).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        real_N = logits(module.eval(), blobs(256, 5000))
        fake_N = logits(module, collapsed(blobs(64, 6000)))
    right = float((real_N > 0).double().mean() + (fake_N < 0).double().mean()) / 2
    assert right > 0.9 if group else 0.4 < right < 0.6, right
