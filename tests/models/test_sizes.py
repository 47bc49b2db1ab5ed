"""Every size from 8 to 256 pixels in every built-in network, the odd ones through both passes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import nn

from ganlib.config import (
    AlexNet,
    ClassifierNetwork,
    Custom,
    DiscriminatorNetwork,
    GeneratorNetwork,
    ResNet18,
)
from ganlib.models import build_classifier, build_discriminator, build_generator
from ganlib.models.gan.resample import enlarged, halved
from ganlib.models.gan.sizes import halvings, sides
from tests.models.test_players import awake, small

SIZES = range(8, 257)
ODD = (9, 11, 13, 15, 17, 21, 31, 33, 45, 63)
GENERATORS, DISCRIMINATORS, CLASSIFIERS = (
    [member for member in get_args(get_args(union)[0]) if member is not Custom]
    for union in (GeneratorNetwork, DiscriminatorNetwork, ClassifierNetwork)
)
DATA = {"channels": 3, "classes": 4}
every = pytest.mark.parametrize(
    "sizes",
    [pytest.param(SIZES, marks=pytest.mark.slow, id="all"), pytest.param(SIZES[::19], id="some")],
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_sides_are_halved_and_rounded_down_and_the_old_sizes_are_as_they_were() -> None:
    for size in SIZES:
        ascending = sides(size)
        assert ascending[-1] == size
        assert 4 <= ascending[0] <= 7
        for less, more in pairwise(ascending):
            assert more // 2 == less
    for base in (4, 5, 6, 7):
        for doublings in range(1, 6):
            expected = [base << count for count in range(doublings + 1)]
            assert sides(base << doublings) == expected
    with pytest.raises(ValueError, match="7 pixels"):
        sides(7)


@pytest.mark.parametrize("smallest", [1, 3, 4, 5, 8, 16])
def test_halving_stops_before_the_smallest_side_and_at_a_coarse_odd_one(smallest: int) -> None:
    for size in range(max(8, 2 * smallest), 257):
        side = size
        for _ in range(halvings(size, smallest)):
            side //= 2
        assert side >= smallest
        assert side < max(2 * smallest, 8)
    assert halvings(28, 1) == 2  # 7 pixels, as before odd sides were halved at all
    with pytest.raises(ValueError, match=f"{smallest} or more"):
        halvings(2 * smallest - 1, smallest)


@every
@pytest.mark.parametrize("member", GENERATORS)
def test_every_generator_makes_every_size(member: Any, sizes: range) -> None:
    """Without numbers: on the meta device there are shapes alone."""
    for size in sizes:
        with torch.device("meta"):
            module = build_generator(small(member), size=size, **DATA)
            image_NCHW = module(torch.zeros(2, 64), torch.zeros(2, dtype=torch.int64))
        assert image_NCHW.shape == (2, 3, size, size)


@every
@pytest.mark.parametrize("member", DISCRIMINATORS)
def test_every_discriminator_takes_every_size(member: Any, sizes: range) -> None:
    for size in sizes:
        with torch.device("meta"):
            module = build_discriminator(small(member, norm="none"), size=size, **DATA)
            logit_N = module(torch.zeros(2, 3, size, size), torch.zeros(2, dtype=torch.int64))
        assert logit_N.shape == (2,)


@every
@pytest.mark.parametrize("member", CLASSIFIERS)
def test_every_classifier_takes_every_size(member: Any, sizes: range) -> None:
    network = member(width=4) if member in (ResNet18, AlexNet) else member()
    for size in sizes:
        with torch.device("meta"):
            module = build_classifier(network, size=size, **DATA)
            logits_NK = module(torch.zeros(2, 3, size, size))
        assert logits_NK.shape == (2, 4)


def played(member: Any, size: int) -> nn.Module:
    torch.manual_seed(size)
    build = build_generator if member in GENERATORS else build_discriminator
    return awake(build(small(member), size=size, **DATA))


@pytest.mark.parametrize("size", ODD)
@pytest.mark.parametrize("member", GENERATORS)
def test_odd_images_come_from_every_weight(member: Any, size: int) -> None:
    module = played(member, size)
    image_NCHW = module(torch.randn(4, 64), torch.arange(4))
    assert image_NCHW.shape == (4, 3, size, size)
    assert image_NCHW.isfinite().all()
    (image_NCHW * torch.randn_like(image_NCHW)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    border = image_NCHW.detach()[:, :, -1].std(), image_NCHW.detach()[:, :, :, -1].std()
    assert min(border) > 0.1 * image_NCHW.detach().std()


@pytest.mark.parametrize("size", ODD)
@pytest.mark.parametrize("member", DISCRIMINATORS)
def test_no_pixel_of_an_odd_image_is_overlooked(member: Any, size: int) -> None:
    module = played(member, size)
    image_NCHW = torch.randn(4, 3, size, size, requires_grad=True)
    logit_N = module(image_NCHW, torch.arange(4))
    logit_N.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert image_NCHW.grad is not None
    assert image_NCHW.grad.abs().sum((0, 1)).min() > 0


def test_means_over_an_odd_side_by_hand() -> None:
    image_NCHW = torch.arange(5.0).expand(1, 1, 4, 5)
    assert halved(image_NCHW).tolist() == [[[[1, 3], [1, 3]]]]
    assert halved(image_NCHW.mT).tolist() == [[[[1, 1], [3, 3]]]]


def test_a_side_is_doubled_as_ever_and_an_odd_one_is_reached() -> None:
    image_NCHW = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    twice = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert enlarged(image_NCHW, 4, "nearest").tolist() == [[twice]]
    more = enlarged(image_NCHW, 5, "nearest")
    assert [sorted(row.unique().tolist()) for row in more[0, 0]] == [[1, 2]] * 3 + [[3, 4]] * 2
    smooth = enlarged(image_NCHW, 5, "bilinear")
    assert smooth[0, 0, 2, 2] == pytest.approx(2.5)
