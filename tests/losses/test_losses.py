"""Values by hand, slopes, and every member of the union."""

from __future__ import annotations

import math
import sys
from typing import get_args

import pytest
import torch

from ganlib.config import AdversarialLoss, Custom, Hinge, NonSaturating
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


@pytest.mark.parametrize(
    ("config", "real", "fake", "discriminator", "generator"),
    [
        (Hinge(), 0.0, 0.0, 2.0, 0.0),
        (Hinge(), 2.0, -3.0, 0.0, 3.0),
        (Hinge(), -0.5, 0.25, 1.5 + 1.25, -0.25),
        (NonSaturating(), 0.0, 0.0, 2 * math.log(2), math.log(2)),
        (NonSaturating(), 1.5, -0.5, soft(-1.5) + soft(-0.5), soft(0.5)),
    ],
)
def test_values_by_hand(config, real, fake, discriminator, generator):
    loss = build(config)
    real_logit, fake_logit = torch.tensor([real]), torch.tensor([fake])
    assert loss.discriminator(real_logit, fake_logit).item() == pytest.approx(discriminator)
    assert loss.generator(fake_logit, None).item() == pytest.approx(generator)


@pytest.mark.parametrize("member", get_args(get_args(AdversarialLoss)[0]))
def test_every_loss_is_per_sample_and_pulls_the_right_way(member, own_package):
    config = Custom(build=f"{own_package}:least_squares") if member is Custom else member()
    loss = build(config)
    real, fake = torch.randn(5).mul(0.3), torch.randn(5).mul(0.3)
    real.requires_grad_(), fake.requires_grad_()
    per_sample = loss.discriminator(real, fake)
    assert per_sample.shape == (5,)
    gradient_real, gradient_fake = torch.autograd.grad(per_sample.sum(), [real, fake])
    if member is not Custom:
        assert (gradient_real < 0).all()
        assert (gradient_fake > 0).all()
    assert loss.generator(fake, real).shape == (5,)
    (gradient,) = torch.autograd.grad(loss.generator(fake, real).sum(), fake)
    assert (gradient < 0).all()


def test_non_saturating_stays_finite_for_sure_discriminators():
    loss = build(NonSaturating())
    sure = torch.tensor([1e4], requires_grad=True)
    assert loss.discriminator(-sure, sure).item() == pytest.approx(2e4)
    loss.generator(-sure, None).sum().backward()
    assert sure.grad.item() == pytest.approx(1)


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
    assert not build(Hinge()).relativistic
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
