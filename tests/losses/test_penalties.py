"""Slopes by hand and against autograd's Jacobian; double backward against finite differences.

N samples, C channels, H W pixels
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganlib.config import R1, Penalties, WganGp
from ganlib.losses import build_penalties
from ganlib.losses.penalties import r1, r2, wgan_gp

NAMES = tuple(Penalties.model_fields)
ACTIVATIONS = {"leaky_relu": lambda: nn.LeakyReLU(0.2), "softplus": nn.Softplus}


def network(kind, activation, seed=0):
    """(image of 2 x 4 x 4) -> logit_N in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        act = ACTIVATIONS[activation]
        if kind == "mlp":
            layers = [nn.Flatten(), nn.Linear(32, 6), act(), nn.Linear(6, 5), act()]
            head = nn.Linear(5, 1)
        else:
            layers = [nn.Conv2d(2, 3, 3, padding=1), act(), nn.Conv2d(3, 4, 2, stride=2), act()]
            layers, head = [*layers, nn.Flatten()], nn.Linear(16, 1)
        return nn.Sequential(*layers, head, nn.Flatten(0)).double()


def images(count=3, seed=1):
    """-> real_NCHW, fake_NCHW, mix_N in float64."""
    generator = torch.Generator().manual_seed(seed)
    real, fake = torch.randn(2, count, 2, 4, 4, generator=generator, dtype=torch.float64)
    return real, fake, torch.rand(count, generator=generator, dtype=torch.float64)


def one(name, **options):
    (penalty,) = build_penalties(Penalties.model_validate({name: options}))
    return penalty


def value(name, discriminate, real, fake, mix):
    penalty = one(name)
    return penalty.of(discriminate, real, fake, mix if penalty.needs_mix else None)


SLOPE_5 = {"wgan_gp": 16.0, "r1": 12.5, "r2": 12.5}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_linear_discriminator_has_the_slope_of_its_weights(name, dtype):
    weight = torch.tensor([3.0, 0.0, -4.0], dtype=dtype, requires_grad=True)
    real, fake, mix = torch.randn(6, 3, dtype=dtype), torch.randn(6, 3, dtype=dtype), torch.rand(6)
    penalty_N = value(name, lambda point: point @ weight + 7, real, fake, mix)
    assert penalty_N.dtype == dtype
    assert penalty_N.tolist() == [SLOPE_5[name]] * 6


def test_each_penalty_looks_where_it_should():
    """D(x) = |x|^2 / 2 has the slope x."""
    real, fake = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[0.0, -8.0], [6.0, 2.0]])
    mix = torch.tensor([0.75, 0.5])

    def square(point):
        return point.square().sum(1) / 2

    assert r1(square, real).tolist() == [12.5, 2.0]
    assert r2(square, fake).tolist() == [32.0, 20.0]
    between = [(2.25**2 + 1) ** 0.5, (3**2 + 2**2) ** 0.5]
    by_hand = [(norm - 1) ** 2 for norm in between]
    assert wgan_gp(square, real, fake, mix).tolist() == pytest.approx(by_hand)
    assert wgan_gp(square, real, fake, torch.ones(2)).tolist() == pytest.approx([16.0, 1.0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_values_against_the_jacobian_of_autograd(name, kind):
    discriminate, (real, fake, mix) = network(kind, "softplus"), images()
    share = mix[:, None, None, None]
    where = {"wgan_gp": share * real + (1 - share) * fake, "r1": real, "r2": fake}[name]
    jacobian = torch.autograd.functional.jacobian(discriminate, where)
    norm = torch.stack([jacobian[i, i] for i in range(len(real))]).flatten(1).norm(dim=1)
    expected = (norm - 1) ** 2 if name == "wgan_gp" else norm**2 / 2
    torch.testing.assert_close(
        value(name, discriminate, real, fake, mix), expected, rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_double_backward_against_finite_differences(name, activation, kind):
    discriminate, batch = network(kind, activation), images()
    weights = list(discriminate.parameters())
    gradients = torch.autograd.grad(
        value(name, discriminate, *batch).mean(), weights, materialize_grads=True
    )
    size = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    assert size > 0
    generator, step = torch.Generator().manual_seed(2), 1e-5
    for weight, gradient in zip(weights, gradients, strict=True):
        for _ in range(3):  # directions at random, of length one: none hides an error
            way = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            way /= way.norm()
            sides = []
            for moved in (step, -2 * step):
                with torch.no_grad():
                    weight += moved * way
                sides.append(value(name, discriminate, *batch).mean().item())
            with torch.no_grad():
                weight += step * way
            difference = (sides[0] - sides[1]) / (2 * step)
            assert abs((gradient * way).sum() - difference) <= 1e-6 * size


@pytest.mark.parametrize("slope", [0.0, 1e-30, 1e-20, 1e-13, 1e-12, 1e-11, 1e-6])
def test_a_flat_discriminator_has_finite_derivatives(slope):
    point = torch.randn(4, 3)

    def mean_penalty(weight):
        return wgan_gp(lambda p: p @ weight, point, point + 1, torch.rand(4)).mean()

    weight = torch.tensor([slope, 0.0, 0.0], requires_grad=True)
    penalty = mean_penalty(weight)
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert gradient.isfinite().all()
    assert torch.autograd.functional.hessian(mean_penalty, weight).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_penalties_are_in_float32_whatever_surrounds_them(name):
    discriminate = network("conv", "softplus").float()
    real, fake, mix = (tensor.bfloat16() for tensor in images())
    plain = value(name, discriminate, real.float(), fake.float(), mix)
    with torch.autocast("cpu", torch.bfloat16):
        assert discriminate(real).dtype == torch.bfloat16
        within = value(name, discriminate, real, fake, mix)
    assert within.dtype == torch.float32
    assert torch.equal(within, plain)


@pytest.mark.parametrize("name", NAMES)
def test_the_images_are_left_alone(name):
    discriminate, (real, fake, mix) = network("mlp", "softplus"), images()
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    made = fake * scale
    value(name, discriminate, real, made, mix).mean().backward()
    assert scale.grad is None
    assert not real.requires_grad
    assert real.grad is None
    assert any(parameter.grad is not None for parameter in discriminate.parameters())


def test_mix_is_asked_for_where_it_is_needed():
    with pytest.raises(ValueError, match="mix_N"):
        one("wgan_gp").of(network("mlp", "softplus"), *images()[:2], None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("every", [1, 3, 16, 64])
def test_a_lazy_penalty_weighs_the_same_in_the_long_run(name, every):
    strength = "weight" if name == "wgan_gp" else "gamma"
    penalty = one(name, **{strength: 0.25, "every": every})
    assert (penalty.name, penalty.every) == (name, every)
    steps = range(3 * 64)
    assert sum(penalty.weight for step in steps if step % every == 0) == 0.25 * len(steps)


def test_those_that_are_paid_are_built_in_order():
    assert build_penalties(Penalties()) == ()
    every = Penalties.model_validate({name: {} for name in NAMES})
    assert tuple(penalty.name for penalty in build_penalties(every)) == NAMES == every.names()
    some = Penalties(wgan_gp=WganGp(weight=3), r1=R1(gamma=0.5, every=8))
    assert [(p.name, p.weight) for p in build_penalties(some)] == [("wgan_gp", 3), ("r1", 4)]
