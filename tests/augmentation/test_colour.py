"""Colours by hand, neutral numbers, and the luma, hue and saturation matrix written out."""

from __future__ import annotations

from math import pi

import pytest
import torch

from ganlib.augmentation import colour


def number(*values):
    return torch.tensor(values, dtype=torch.float64)


PIXEL = number(0.6, -0.2, 0.2).view(1, 3, 1, 1)
ONE = {
    "brightness": (colour.brightness, 0.0, 0.5, [1.1, 0.3, 0.7]),
    "contrast": (colour.contrast, 1.0, 2.0, [1.2, -0.4, 0.4]),
    "contrast_about_mean": (colour.contrast_about_mean, 1.0, 2.0, [1.0, -0.6, 0.2]),
    "saturation": (colour.saturation, 1.0, 0.5, [0.4, 0.0, 0.2]),
}


@pytest.mark.parametrize("name", ONE)
def test_by_hand(name):
    change, _, amount, expected = ONE[name]
    assert change(PIXEL, number(amount)).flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ONE)
def test_a_neutral_number_changes_nothing_and_each_sample_has_its_own(name, channels):
    change, neutral, amount, _ = ONE[name]
    image = torch.randn(3, channels, 4, 4)
    out = change(image, torch.tensor([neutral, amount, neutral]))
    assert torch.equal(out[[0, 2]], image[[0, 2]])
    assert torch.equal(out[1], image[1]) == (name == "saturation" and channels == 1)


def test_contrast_about_the_mean_keeps_the_mean_over_all_pixels():
    image = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    out = colour.contrast_about_mean(image, number(0.5, 1.5))
    torch.testing.assert_close(out.mean((1, 2, 3)), image.mean((1, 2, 3)))
    torch.testing.assert_close(out.std((1, 2, 3)), number(0.5, 1.5) * image.std((1, 2, 3)))


def test_luma_hue_and_saturation_are_the_three_matrices():
    image = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    luma, angle, factor = -1.0, 0.7, 1.6
    v = torch.full((3,), 3**-0.5, dtype=torch.float64)
    grey, same = torch.outer(v, v), torch.eye(3, dtype=torch.float64)
    mirror = same - 2 * grey
    a, b, c = (v * torch.tensor(angle)).tolist()
    turn = torch.linalg.matrix_exp(
        torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]], dtype=torch.float64)
    )
    saturate = grey + factor * (same - grey)
    expected = torch.einsum("ij,njhw->nihw", saturate @ turn @ mirror, image)
    out = colour.luma_hue_saturation(image, number(luma), number(angle), number(factor))
    torch.testing.assert_close(out, expected)


def test_a_third_of_a_turn_moves_red_to_green():
    red = number(1, 0, 0).view(1, 3, 1, 1)
    out = colour.luma_hue_saturation(red, number(1), number(2 * pi / 3), number(1))
    assert out.flatten().tolist() == pytest.approx([0, 1, 0])


def test_neutral_luma_hue_and_saturation_change_nothing():
    image = torch.randn(2, 3, 4, 4)
    one, zero = torch.ones(2), torch.zeros(2)
    assert torch.equal(colour.luma_hue_saturation(image, one, zero, one), image)


@pytest.mark.parametrize("name", ONE)
def test_gradients_are_those_of_finite_differences(name):
    change, _, amount, _ = ONE[name]
    image = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: change(x, number(amount, 0.3)), image)


def test_gradients_of_luma_hue_and_saturation():
    image = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    change = lambda x: colour.luma_hue_saturation(x, number(-1), number(2), number(3))  # noqa: E731
    assert torch.autograd.gradcheck(change, image)
