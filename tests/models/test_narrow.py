"""The rearranged convolutions against torch's own, with their slopes and the slopes of those."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from ganlib.models.layers import Conv
from ganlib.models.narrow import FEW, Doubling, doubled, fits, halved


def drawn(*shape: int) -> torch.Tensor:
    torch.manual_seed(sum(shape))
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (6, 4), (5, 8), (28, 28)])
@pytest.mark.parametrize("way", ["halved", "doubled", "doubled, odd"])
def test_it_is_the_convolution_it_replaces(
    way: str, channels: int, height: int, width: int
) -> None:
    narrow, wide, bias = channels, 5, drawn(5 if way == "halved" else channels)
    if way == "halved":
        x, weight = drawn(2, narrow, height, width), drawn(wide, narrow, 4, 4)
        ours, theirs = halved(x, weight, bias), F.conv2d(x, weight, bias, 2, 1)
    else:
        x, weight = drawn(2, wide, height, width), drawn(wide, narrow, 4, 4)
        odd = way.endswith("odd")
        ours = doubled(x, weight, bias, odd=odd)
        theirs = F.conv_transpose2d(x, weight, bias, 2, 1, int(odd))
    torch.testing.assert_close(ours, theirs)
    pull = torch.randn_like(theirs)
    found = [
        torch.autograd.grad((out * pull).square().sum(), [x, weight, bias], create_graph=True)
        for out in (ours, theirs)
    ]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    second = [torch.autograd.grad(slopes[0].square().sum(), [x, weight]) for slopes in found]
    for one, other in zip(*second, strict=True):
        torch.testing.assert_close(one, other)


def test_layers_take_it_where_it_fits_alone() -> None:
    x = torch.randn(1, 1, 8, 8)
    assert fits(x, torch.zeros(8, FEW, 4, 4), 2, 1)
    assert not fits(x, torch.zeros(8, FEW + 1, 4, 4), 2, 1)
    assert not fits(x, torch.zeros(8, 1, 3, 3), 1, 1)
    for channels, odd in product((1, FEW, FEW + 1), (False, True)):
        conv = Conv(channels, 8, 4, stride=2, padding=1)
        up = Doubling(8, channels, odd=odd)
        image, hidden = torch.randn(2, channels, 6 + odd, 6 + odd), torch.randn(2, 8, 3, 3)
        expected = F.conv2d(image, conv.weight, conv.bias, 2, 1)
        torch.testing.assert_close(conv(image), expected)
        expected = F.conv_transpose2d(hidden, up.weight, up.bias, 2, 1, int(odd))
        assert expected.shape == image.shape
        torch.testing.assert_close(up(hidden), expected)
