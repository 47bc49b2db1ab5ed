"""SGD by its formula and after a restart; every schedule by hand and by what all of them share."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from ganlib.config import Adam, Constant, Cosine, OneCycle, Optimiser, Schedule, Sgd, Step
from ganlib.determinism import Replicas
from ganlib.training import optimiser
from ganlib.training.schedule import factor
from tests.ranks import on_ranks

OPTIMISERS = [
    *(member() for member in get_args(get_args(Optimiser)[0])),
    Sgd(learning_rate=0.05, momentum=0.8, weight_decay=0.1),
    Sgd(momentum=0.8, nesterov=True),
    Sgd(momentum=0.0, weight_decay=0.1),
    Adam(weight_decay=0.1),
]


def network(layout: torch.memory_format = torch.contiguous_format) -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3).double().to(memory_format=layout)


def loss(module: nn.Module) -> torch.Tensor:
    image_NCHW = torch.linspace(-1, 1, 2 * 3 * 8 * 8, dtype=torch.float64).view(2, 3, 8, 8)
    return module(image_NCHW).square().mean()


@pytest.mark.parametrize("config", [c for c in OPTIMISERS if isinstance(c, Sgd)], ids=repr)
def test_sgd_is_its_formula(config: Sgd) -> None:
    """v = momentum v + g, w -= rate (g + momentum v if nesterov else v), with g + decay w for g."""
    ours, plain = network(), network()
    stepping = optimiser.Optimiser(ours, config)
    velocity = [torch.zeros_like(p) for p in plain.parameters()]
    for step in range(4):
        rate = 0.5 * (step + 1)
        stepping.step(loss(ours), rate, Replicas())
        found = torch.autograd.grad(loss(plain), list(plain.parameters()))
        with torch.no_grad():
            for w, v, g in zip(plain.parameters(), velocity, found, strict=True):
                slope = g + config.weight_decay * w
                v.mul_(config.momentum).add_(slope)
                moved = slope + config.momentum * v if config.nesterov else v
                w.sub_(config.learning_rate * rate * moved)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("config", OPTIMISERS, ids=repr)
def test_an_optimiser_goes_on_bit_for_bit(config: Adam | Sgd, layout: torch.memory_format) -> None:
    whole, rest = network(layout), network(layout)
    first = optimiser.Optimiser(whole, config)
    for _ in range(3):
        first.step(loss(whole), 0.5, Replicas())
    rest.load_state_dict(whole.state_dict())
    second = optimiser.Optimiser(rest, config)
    second.load_state_dict({k: v.contiguous().clone() for k, v in first.state_dict().items()})
    for module, each in ((whole, first), (rest, second)):
        for _ in range(3):
            each.step(loss(module), 0.5, Replicas())
    assert torch.equal(whole.weight, rest.weight)
    assert first.state_dict().keys() == second.state_dict().keys()


def test_without_its_momentum_sgd_would_go_elsewhere() -> None:
    whole, rest = network(), network()
    first = optimiser.Optimiser(whole, Sgd())
    first.step(loss(whole), 1.0, Replicas())
    assert set(first.state_dict()) == {"momentum_buffer.weight", "momentum_buffer.bias"}
    rest.load_state_dict(whole.state_dict())
    optimiser.Optimiser(rest, Sgd()).step(loss(rest), 1.0, Replicas())
    first.step(loss(whole), 1.0, Replicas())
    assert not torch.equal(whole.weight, rest.weight)


def test_steps_by_hand() -> None:
    """The rate of a residual network on CIFAR-10: 64,000 steps of 128."""
    step, total = Step(milestones=(0.5, 0.75), gamma=0.1), 64_000 * 128
    for at, expected in ((0, 1), (31_999, 1), (32_000, 0.1), (47_999, 0.1), (48_000, 0.01)):
        assert factor(step, at * 128, total) == pytest.approx(expected)
    warmed = step.model_copy(update={"warmup_images": 9})
    assert factor(warmed, 4, 100) == 0.5
    assert factor(warmed, 50, 100) == pytest.approx(0.1)  # milestones count from the beginning


def test_one_cycle_by_hand() -> None:
    cycle = OneCycle(rise=0.25, initial=0.2, final=0.1)
    for clock, expected in ((0, 0.2), (125, 0.6), (250, 1.0), (625, 0.55), (1_000, 0.1)):
        assert factor(cycle, clock, 1_000) == pytest.approx(expected)
    warmed = cycle.model_copy(update={"warmup_images": 99})
    assert factor(warmed, 0, 1_099) == pytest.approx(0.002)
    assert factor(warmed, 99, 1_099) == pytest.approx(0.2)
    assert factor(warmed, 349, 1_099) == pytest.approx(1.0)


@pytest.mark.parametrize("member", get_args(get_args(Schedule)[0]))
def test_every_schedule_warms_up_and_stays_within_the_rate(
    member: type[Constant | Cosine | Step | OneCycle],
) -> None:
    plain, warmed = member(), member(warmup_images=200)
    values = [factor(plain, clock, 1_000) for clock in range(0, 1_100, 10)]
    assert max(values) == pytest.approx(1.0)
    assert min(values) >= 0
    assert values[-1] == values[-10]  # past the budget nothing moves
    begin = factor(plain, 0, 1_000)
    ramp = [factor(warmed, clock, 1_000) for clock in (0, 50, 100, 150, 200)]
    expected = [begin * (clock + 1) / 201 for clock in (0, 50, 100, 150, 200)]
    assert ramp == pytest.approx(expected)


class TwoBranches(nn.Module):
    """One of them frozen, one that no loss reaches."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.idle, self.frozen = (nn.Linear(4, 1).double() for _ in range(3))
        self.frozen.requires_grad_(False)

    def forward(self, x_NF: torch.Tensor) -> torch.Tensor:
        out_N1: torch.Tensor = self.used(x_NF) + self.frozen(x_NF)
        return out_N1


def branches_after(replicas: Replicas) -> dict[str, torch.Tensor]:
    module = TwoBranches()
    stepping = optimiser.Optimiser(module, Adam(learning_rate=0.1, weight_decay=0.5))
    x_NF = torch.linspace(-1, 1, 32, dtype=torch.float64).view(8, 4)
    for _ in range(3):
        stepping.teach(True)
        stepping.step(module(replicas.slice(x_NF)).square().mean(), 1.0, replicas)
        stepping.teach(False)
    return {**module.state_dict(), **stepping.state_dict()}


def test_what_is_frozen_stays_and_what_no_loss_reaches_decays_on_any_number_of_ranks() -> None:
    before, alone = TwoBranches().state_dict(), branches_after(Replicas())
    assert torch.equal(alone["frozen.weight"], before["frozen.weight"])
    assert "exp_avg.frozen.weight" not in alone
    torch.testing.assert_close(alone["idle.weight"], before["idle.weight"] * 0.95**3)
    for state in on_ranks(2, branches_after):
        assert state.keys() == alone.keys()
        for name, tensor in alone.items():
            torch.testing.assert_close(state[name], tensor, rtol=1e-12, atol=1e-12)
