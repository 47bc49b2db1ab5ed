"""Turned, scaled, squeezed and sheared images: by hand, and as often as was said."""

from __future__ import annotations

import math

import pytest
import torch

from ganlib.augmentation.geometry import shearing
from ganlib.augmentation.warp import draw_warp, warp
from ganlib.determinism import stream

OFF = {"rotate": 0.0, "scale": 0.0, "squeeze": 0.0, "shear": 0.0}


def drawn(count=10_000, **settings):
    return draw_warp(count, **(OFF | settings), generator=stream(0, "test"))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_nothing_asked_for_is_nothing_done(layout):
    image = torch.randn(4, 3, 6, 5).to(memory_format=layout)
    out = warp(image, drawn(4))
    assert torch.equal(out, image)
    assert out.is_contiguous(memory_format=layout)


def test_a_row_further_down_moves_further_right():
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2] = 1  # a vertical line
    expected = torch.eye(5)
    expected[0, 4] = expected[4, 0] = 1  # the line again, mirrored at the edges
    assert torch.equal(warp(image, shearing(torch.ones(1)))[0, 0], expected)


def test_angles_and_sizes_are_uniform_between_their_extremes():
    turned = drawn(rotate=30.0)
    angle = torch.atan2(turned[:, 1, 0], turned[:, 0, 0]) * 180 / math.pi
    assert angle.min() == pytest.approx(-30, abs=0.1)
    assert angle.max() == pytest.approx(30, abs=0.1)
    assert angle.std() == pytest.approx(30 / 3**0.5, rel=0.03)
    sized = drawn(scale=0.25)
    assert torch.equal(sized[:, 0, 0], sized[:, 1, 1])
    assert sized[:, 0, 0].min() == pytest.approx(1 / 1.25, abs=1e-3)
    assert sized[:, 0, 0].max() == pytest.approx(1.25, abs=1e-3)
    squeezed = drawn(squeeze=0.25)
    torch.testing.assert_close(squeezed[:, 0, 0] * squeezed[:, 1, 1], torch.ones(10_000).double())
    sheared = drawn(shear=0.5)
    assert sheared[:, 0, 1].abs().max() == pytest.approx(0.5, abs=1e-3)


def test_one_setting_does_not_change_the_draws_of_another():
    both = drawn(rotate=30.0, shear=0.0, scale=0.0)
    turned_and_sized = drawn(rotate=30.0, scale=0.5)
    size = drawn(scale=0.5)[:, 0, 0]
    torch.testing.assert_close(turned_and_sized[:, 0, 0], both[:, 0, 0] * size)
