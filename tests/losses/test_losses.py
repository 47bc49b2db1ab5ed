"""Values by hand, slopes, the relations between the players, and every member of the union."""

from __future__ import annotations

import math
import sys
from typing import get_args

import pytest
import torch

from ganlib.config import AdversarialLoss, Custom
from ganlib.errors import ConfigError
from ganlib.losses import Adversarial, build, cross_entropy

OWN = """
from ganlib.losses import Adversarial
def least_squares(target=1.0):
    return Adversarial(
        lambda real, fake: (real - target) ** 2 + fake**2, lambda fake, real: (fake - target) ** 2
    )
def wrong():
    return print
"""


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_losses"
    sys.modules.pop("own_losses", None)


def soft(x):
    return math.log1p(math.exp(x))


LOSSES = get_args(get_args(AdversarialLoss)[0])
VALUES = {  # real logit, fake logit: the discriminator's loss, the generator's
    "hinge": {
        (0.0, 0.0): (2.0, 0.0),
        (2.0, -3.0): (0.0, 3.0),
        (-0.5, 0.25): (1.5 + 1.25, -0.25),
    },
    "non_saturating": {
        (0.0, 0.0): (2 * math.log(2), math.log(2)),
        (1.5, -0.5): (soft(-1.5) + soft(-0.5), soft(0.5)),
        (-2.0, 3.0): (soft(2) + soft(3), soft(-3)),
    },
    "minimax": {
        (0.0, 0.0): (2 * math.log(2), -math.log(2)),
        (1.5, -0.5): (soft(-1.5) + soft(-0.5), math.log(1 - 1 / (1 + math.exp(0.5)))),
        (-2.0, 3.0): (soft(2) + soft(3), math.log(1 - 1 / (1 + math.exp(-3)))),
    },
    "least_squares": {
        (1.0, 0.0): (0.0, 0.5),
        (0.0, 1.0): (0.5 + 0.5, 0.0),
        (3.0, -4.0): (2.0 + 8.0, 12.5),
    },
    "wasserstein": {
        (0.0, 0.0): (0.0, 0.0),
        (2.0, -3.0): (-5.0, 3.0),
        (-1.5, 0.5): (2.0, -0.5),
    },
    "relativistic_paired": {
        (0.0, 0.0): (math.log(2), math.log(2)),
        (2.0, -3.0): (soft(-5), soft(5)),
        (-1.5, 0.5): (soft(2), soft(-2)),
        (7.5, 9.5): (soft(2), soft(-2)),
    },
}
OURS = [member for member in LOSSES if member is not Custom]


@pytest.mark.parametrize("member", OURS)
def test_values_by_hand(member):
    loss = build(member())
    real, fake = torch.tensor(list(VALUES[member().kind]), dtype=torch.float64).T
    discriminator, generator = zip(*VALUES[member().kind].values(), strict=True)
    given = real if loss.relativistic else None
    assert loss.discriminator(real, fake).tolist() == pytest.approx(discriminator)
    assert loss.generator(fake, given).tolist() == pytest.approx(generator)


def built(member, own_package):
    config = Custom(build=f"{own_package}:least_squares") if member is Custom else member()
    return build(config)


@pytest.mark.parametrize("member", LOSSES)
def test_every_loss_is_per_sample_and_pulls_the_right_way(member, own_package):
    """Between the targets of the least squares, where no loss is flat and none turns round."""
    loss = built(member, own_package)
    real, fake = torch.rand(2, 64, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    real.requires_grad_(), fake.requires_grad_()
    per_sample = loss.discriminator(real, fake)
    assert per_sample.shape == (64,)
    torch.testing.assert_close(per_sample[5:7], loss.discriminator(real[5:7], fake[5:7]))
    gradient_real, gradient_fake = torch.autograd.grad(per_sample.sum(), [real, fake])
    assert (gradient_real < 0).all()
    assert (gradient_fake > 0).all()
    per_sample = loss.generator(fake, real)
    assert per_sample.shape == (64,)
    torch.testing.assert_close(per_sample[5:7], loss.generator(fake[5:7], real[5:7]))
    (gradient,) = torch.autograd.grad(per_sample.sum(), fake)
    assert (gradient < 0).all()


@pytest.mark.parametrize("member", OURS)
def test_every_loss_and_its_slope_are_finite_for_sure_discriminators(member):
    loss = build(member())
    sure = torch.tensor([-1e4, 1e4])
    real, fake = torch.cartesian_prod(sure, sure).T.clone().requires_grad_().unbind()
    for value in (loss.discriminator(real, fake), loss.generator(fake, real)):
        assert value.isfinite().all()
        slopes = torch.autograd.grad(value.sum(), [real, fake], materialize_grads=True)
        assert all(slope.isfinite().all() for slope in slopes)


def test_the_saturating_generator_learns_nothing_from_a_sure_discriminator():
    unmasked = torch.tensor([-50.0], requires_grad=True)
    for kind, slope in (("minimax", 0.0), ("non_saturating", -1.0)):
        config = next(member() for member in OURS if member().kind == kind)
        (gradient,) = torch.autograd.grad(build(config).generator(unmasked, None), unmasked)
        assert gradient.item() == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("member", OURS)
def test_only_relativistic_generators_read_real_logits(member):
    loss = build(member())
    real, fake = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    if loss.relativistic:
        assert not torch.equal(loss.generator(fake, real), loss.generator(fake, real + 1))
        with pytest.raises(ValueError, match="real"):
            loss.generator(fake, None)
    else:
        assert torch.equal(loss.generator(fake, real), loss.generator(fake, None))


@pytest.mark.parametrize("kind", ["minimax", "wasserstein"])
def test_in_a_zero_sum_game_the_fake_is_pulled_both_ways_alike(kind):
    loss = build(next(member() for member in OURS if member().kind == kind))
    real, fake = torch.linspace(-3, 3, 13), torch.linspace(4, -4, 13).requires_grad_()
    (up,) = torch.autograd.grad(loss.discriminator(real, fake).sum(), fake)
    (down,) = torch.autograd.grad(loss.generator(fake, None).sum(), fake)
    assert torch.equal(up, -down)


def test_relativistic_losses_read_differences_alone_and_mirror_each_other():
    loss = build(next(member() for member in OURS if member().kind == "relativistic_paired"))
    real, fake = torch.arange(-3, 3, 0.5), torch.arange(4, -2, -0.5)
    assert torch.equal(loss.discriminator(real + 2, fake + 2), loss.discriminator(real, fake))
    assert torch.equal(loss.generator(fake, real), loss.discriminator(fake, real))


@pytest.mark.parametrize("member", OURS)
def test_a_common_shift_of_all_logits_teaches_nothing_where_differences_count(member):
    loss = build(member())
    real, fake = torch.linspace(-3, 3, 8), torch.linspace(-4, -2, 8)
    shift = torch.zeros(8, requires_grad=True)
    loss.discriminator(real + shift, fake + shift).sum().backward()
    assert (shift.grad.abs().max().item() < 1e-6) == loss.differences


@pytest.mark.parametrize(
    ("build_path", "options", "message"),
    [
        ("no_such_module:f", {}, "cannot be imported"),
        ("own_losses:least_squares", {"tarqet": 1}, "tarqet"),
        ("own_losses:wrong", {}, "not a ganlib.losses.Adversarial"),
    ],
)
def test_a_bad_custom_loss_is_refused_by_name(own_package, build_path, options, message):
    with pytest.raises(ConfigError, match=message):
        build(Custom(build=build_path, options=options))


def test_an_adversarial_says_whether_it_needs_real_logits():
    assert [member().kind for member in OURS if build(member()).relativistic] == [
        "relativistic_paired"
    ]
    assert Adversarial(lambda r, f: r, lambda f, r: f, relativistic=True).relativistic


def test_cross_entropy_by_hand():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    label = torch.tensor([0, 2])
    log_sum = math.log(math.exp(2) + 1 + math.exp(-1))
    plain = cross_entropy(logits, label, 0.0)
    assert plain.tolist() == pytest.approx([log_sum - 2, math.log(3)])
    smooth = cross_entropy(logits, label, 0.3)
    first = 0.7 * (log_sum - 2) + 0.1 * sum(log_sum - x for x in (2, 0, -1))
    assert smooth.tolist() == pytest.approx([first, math.log(3)])


def test_cross_entropy_is_not_in_bfloat16():
    logits = torch.randn(4, 10)
    loss = cross_entropy(logits.bfloat16(), torch.zeros(4, dtype=torch.int64), 0.1)
    assert loss.dtype == torch.float32
    assert cross_entropy(logits.double(), torch.zeros(4).long(), 0.0).dtype == torch.float64
