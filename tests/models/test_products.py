"""Slopes by a weight as one product, against torch's own, and where they are taken."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ganlib.models import products
from ganlib.models.layers import Conv
from ganlib.models.products import PIXELS, Transposed, _Product, pays, slope_of_weight

SHAPES = [(4, 2, 1, 8), (4, 2, 1, 9), (3, 1, 1, 5), (5, 1, 0, 7), (1, 1, 0, 4), (3, 2, 1, 8)]


def drawn(*shape: int) -> torch.Tensor:
    torch.manual_seed(sum(shape))
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("window", "stride", "padding", "side"), SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_it_is_the_convolution_it_replaces_with_its_slopes_and_theirs(
    window: int, stride: int, padding: int, side: int, transposed: bool
) -> None:
    more = side % 2 if transposed and stride == 2 and window == 4 else 0
    x, bias = drawn(2, 3, side, side), drawn(5)
    weight = drawn(3, 5, window, window) if transposed else drawn(5, 3, window, window)
    ours = _Product.apply(x, weight, bias, stride, padding, more, transposed)
    if transposed:
        theirs = F.conv_transpose2d(x, weight, bias, stride, padding, more)
    else:
        theirs = F.conv2d(x, weight, bias, stride, padding)
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


def test_a_pixel_of_ones_counts_the_patches() -> None:
    coarse, fine = torch.ones(2, 1, 2, 2), torch.ones(2, 1, 4, 4)
    slope = slope_of_weight(coarse, fine, 4, 2, 1)[0, 0]
    # Two images; of a window's taps the outermost miss the image at half of the pixels.
    assert slope.tolist() == [[2, 4, 4, 2], [4, 8, 8, 4], [4, 8, 8, 4], [2, 4, 4, 2]]


def test_layers_take_it_in_bfloat16_at_few_pixels_of_many_channels_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(products, "_has_matrix_unit", lambda: True)
    few, many = torch.zeros(64, 8, 4, 4), torch.zeros(128, 8, 4, 4).requires_grad_()
    x = torch.randn(2, 8, 4, 4)
    assert not pays(x, many, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert pays(x, many, 16)
        assert not pays(x, many, PIXELS + 1)
        assert not pays(x, few.requires_grad_(), 16)
        assert not pays(x, many.detach(), 16)
        with torch.no_grad():
            assert not pays(x, many, 16)
    monkeypatch.setattr(products, "_has_matrix_unit", lambda: False)
    with torch.autocast("cpu", torch.bfloat16):
        assert not pays(x, many, 16)


@pytest.mark.parametrize("layer", ["conv", "transposed"])
def test_a_step_in_bfloat16_is_as_near_to_float32_as_torch_is(
    layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = (
        Conv(64, 128, 4, stride=2, padding=1) if layer == "conv" else Transposed(128, 64, 4, 2, 1)
    )
    x = torch.randn(16, 64, 8, 8) if layer == "conv" else torch.randn(16, 128, 4, 4)
    pull = torch.randn_like(module(x))

    def slopes(narrow: bool, unit: bool) -> list[torch.Tensor]:
        monkeypatch.setattr(products, "_has_matrix_unit", lambda: unit)
        image = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            out = module(image)
        assert out.dtype is (torch.bfloat16 if narrow else torch.float32)
        return list(torch.autograd.grad((out * pull).sum(), [image, module.weight, module.bias]))

    exact, theirs, ours = slopes(False, False), slopes(True, False), slopes(True, True)
    for true, other, mine in zip(exact, theirs, ours, strict=True):
        assert (mine - true).norm() < 1.2 * (other - true).norm() + 1e-6 * true.norm()
