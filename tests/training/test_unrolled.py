"""The unrolled discriminator against torch's own Adam, and its slope against finite differences."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ganlib.config import Adam
from ganlib.determinism import Replicas
from ganlib.training.optimiser import Optimiser
from ganlib.training.unrolled import Forward, look_ahead


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        self.seen += 1  # type: ignore[operator]
        logit_N: Tensor = self.body(image_NCHW.flatten(1))[:, 0]
        return logit_N


@pytest.fixture
def critic() -> Critic:
    torch.manual_seed(0)
    return Critic().double()


REAL = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(1)).double()
FAKE = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(2)).double()
LABEL = torch.zeros(6, dtype=torch.int64)
ADAM = Adam(learning_rate=0.05, beta1=0.5, weight_decay=0.1)


def loss_of(forward: Forward, fake: Tensor) -> Tensor:
    real_N, fake_N = forward(REAL, LABEL), forward(fake, LABEL)
    return (nn.functional.softplus(-real_N) + nn.functional.softplus(fake_N)).mean()


def ahead(critic: Critic, optimiser: Optimiser, fake: Tensor, steps: int) -> Forward:
    return look_ahead(
        critic,
        optimiser,
        lambda forward: loss_of(forward, fake),
        steps=steps,
        factor=0.8,
        replicas=Replicas(),
        before_each=lambda: None,
    )


def warmed(critic: Critic) -> Optimiser:
    optimiser = Optimiser(critic, ADAM)
    for _ in range(3):
        optimiser.step(loss_of(critic, FAKE), 1.0, Replicas())
    return optimiser


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("warm", [True, False])
def test_it_is_where_adam_would_be(critic: Critic, steps: int, warm: bool) -> None:
    optimiser = warmed(critic) if warm else Optimiser(critic, ADAM)
    before = copy.deepcopy(critic.state_dict()), copy.deepcopy(optimiser.state_dict())
    forward = ahead(critic, optimiser, FAKE, steps)
    logit_N = forward(FAKE, LABEL)
    for now, then in zip((critic.state_dict(), optimiser.state_dict()), before, strict=True):
        assert now.keys() == then.keys()
        assert all(torch.equal(now[key], then[key]) for key in now)
    for _ in range(steps):
        optimiser.step(loss_of(critic, FAKE), 0.8, Replicas())
    torch.testing.assert_close(logit_N, critic(FAKE, LABEL), rtol=1e-6, atol=1e-6)


def test_its_slope_runs_through_all_steps(critic: Critic) -> None:
    """Central differences of the loss of the images, each time with the steps taken anew."""
    optimiser = warmed(critic)

    def value(fake: Tensor) -> Tensor:
        return ahead(critic, optimiser, fake, 2)(fake, LABEL).square().mean()

    fake = FAKE.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(fake), fake)
    direction = torch.randn(FAKE.shape, generator=torch.Generator().manual_seed(3)).double()
    step = 1e-5
    rise = (value(FAKE + step * direction) - value(FAKE - step * direction)) / (2 * step)
    assert (slope * direction).sum().item() == pytest.approx(rise.item(), rel=1e-6)
    (short,) = torch.autograd.grad(
        ahead(critic, optimiser, FAKE, 2)(fake, LABEL).square().mean(), fake
    )
    assert not torch.allclose(short, slope, rtol=1e-3)
