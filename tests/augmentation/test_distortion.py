"""Shifts and flips against the plain way, one image at a time."""

from __future__ import annotations

import pytest
import torch

from ganlib.augmentation import distort, draw_distortion
from ganlib.determinism import stream


def plainly(image_CHW, down, right, flip, fill=-1.0):
    if flip:
        image_CHW = image_CHW.flip(-1)
    out = torch.full_like(image_CHW, fill)
    height, width = image_CHW.shape[1:]
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                out[:, row, column] = image_CHW[:, row - down, column - right]
    return out


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_plain_way(channels, layout):
    image = torch.randn(20, channels, 6, 5).to(memory_format=layout)
    offset, flip = draw_distortion(20, 3, True, stream(0, "test"))
    expected = torch.stack(
        [plainly(x, *o.tolist(), f.item()) for x, o, f in zip(image, offset, flip, strict=True)]
    )
    assert torch.equal(distort(image, offset, flip, 3), expected)


def test_no_distortion_is_none_at_all():
    image = torch.randn(4, 1, 8, 8)
    offset, flip = draw_distortion(4, 0, False, stream(0, "test"))
    assert torch.equal(distort(image, offset, flip, 0), image)


def test_a_shift_beyond_the_image_leaves_black():
    image = torch.ones(1, 1, 4, 4)
    out = distort(image, torch.tensor([[9, 0]]), torch.tensor([False]), 9)
    assert torch.equal(out, -image)


def test_draws_are_uniform_half_flipped_and_independent_of_each_other():
    offset, flip = draw_distortion(20_000, 2, True, stream(1, "test"))
    assert offset.unique().tolist() == [-2, -1, 0, 1, 2]
    share = torch.bincount(offset[:, 0] + 2).double() / len(offset)
    torch.testing.assert_close(share, torch.full((5,), 0.2).double(), rtol=0, atol=0.01)
    assert abs(flip.double().mean() - 0.5) < 0.01
    without, none = draw_distortion(20_000, 2, False, stream(1, "test"))
    assert torch.equal(without, offset)
    assert not none.any()


def test_an_empty_batch():
    offset, flip = draw_distortion(0, 2, True, stream(1, "test"))
    assert distort(torch.zeros(0, 1, 4, 4), offset, flip, 2).shape == (0, 1, 4, 4)
