"""Affine maps of images against flips, turns and shifts by indexing, and against plain loops."""

from __future__ import annotations

from math import floor, pi

import pytest
import torch

from ganlib.augmentation.geometry import chain, resample, rotation, scaling, translation


def number(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype)


@pytest.fixture
def image():
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(6, 6), (5, 5), (4, 7), (1, 3)])
def test_no_change_is_exact(size):
    image = torch.randn(2, 2, *size)
    one = number(1, 1)
    assert torch.equal(resample(image, scaling(one, one)), image)


def test_a_mirror_is_exact(image):
    one = number(1, 1)
    assert torch.equal(resample(image, scaling(-one, one)), image.flip(3))
    assert torch.equal(resample(image, scaling(one, -one)), image.flip(2))


@pytest.mark.parametrize("quarters", range(4))
def test_quarter_turns_are_exact_and_anticlockwise(image, quarters):
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
    turned = resample(image, rotation(number(cosine, cosine), number(sine, sine)))
    assert torch.equal(turned, torch.rot90(image, quarters, (2, 3)))


def test_a_shift_by_whole_pixels_is_exact_and_mirrors_at_the_edge_pixels():
    image = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 3, 5)
    right = resample(image, translation(number(2), number(0)))
    assert right[0, 0, 0].tolist() == [2, 1, 0, 1, 2]
    far = resample(image, translation(number(-11), number(0)))
    assert far[0, 0, 0].tolist() == [3, 4, 3, 2, 1]  # 11 12 13 .. on 0 1 2 3 4 3 2 1, of period 8
    down = resample(image.transpose(2, 3), translation(number(0), number(1)))
    assert down[0, 0, :, 0].tolist() == [1, 0, 1, 2, 3]


def test_half_a_pixel_is_the_mean_of_two():
    image = torch.tensor([0.0, 1.0, 4.0, 9.0]).view(1, 1, 1, 4)
    moved = resample(image, translation(number(0.5), number(0)))
    assert moved.flatten().tolist() == [0.5, 0.5, 2.5, 6.5]


def test_what_is_larger_shows_the_middle():
    ramp = (torch.arange(9.0) - 4).view(1, 1, 1, 9).expand(1, 1, 9, 9)
    larger = resample(ramp, scaling(number(2), number(1)))
    torch.testing.assert_close(larger, ramp / 2)


def test_what_happens_first_stands_leftmost(image):
    one, zero = number(1, 1), number(0, 0)
    mirror, right = scaling(-one, one), translation(number(1, 1), number(0, 0))
    expected = resample(resample(image, mirror), right)
    both = resample(image, chain(mirror, right))
    assert torch.equal(both[..., 1:], expected[..., 1:])
    assert not torch.equal(both, resample(image, chain(right, mirror)))
    assert torch.equal(chain(mirror, translation(zero, zero)), mirror)


def plainly(image, matrix):
    """One pixel after the other."""
    count, channels, height, width = image.shape
    out = torch.zeros_like(image)

    def pixel(n, c, row, column):
        place = []
        for at, size in ((row, height), (column, width)):
            while not 0 <= at < size:
                at = -at if at < 0 else 2 * (size - 1) - at
            place.append(at)
        return image[n, c, place[0], place[1]].item()

    for n in range(count):
        (a, b, e), (c, d, f) = matrix[n, :2].tolist()
        for row in range(height):
            for column in range(width):
                x, y = column - (width - 1) / 2, row - (height - 1) / 2
                u = a * x + b * y + e + (width - 1) / 2
                v = c * x + d * y + f + (height - 1) / 2
                i, j = floor(v), floor(u)
                for channel in range(channels):
                    out[n, channel, row, column] = sum(
                        pixel(n, channel, i + di, j + dj)
                        * (v - i if di else 1 - v + i)
                        * (u - j if dj else 1 - u + j)
                        for di in (0, 1)
                        for dj in (0, 1)
                    )
    return out


def random_maps(count, dtype=torch.float64):
    draw = torch.Generator().manual_seed(1)
    angle = torch.rand(count, generator=draw, dtype=dtype) * 2 * pi
    factor = torch.rand(count, generator=draw, dtype=dtype) + 0.5
    move = torch.randn(count, generator=draw, dtype=dtype) * 3
    return chain(
        scaling(factor, 1 / factor), rotation(angle.cos(), angle.sin()), translation(move, -move)
    )


def test_any_map_is_the_plain_way():
    image = torch.randn(4, 2, 5, 6, dtype=torch.float64)
    matrix = random_maps(4)
    torch.testing.assert_close(
        resample(image, matrix), plainly(image, matrix), rtol=1e-12, atol=1e-12
    )


def test_gradients_of_gradients_are_those_of_finite_differences():
    image = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    matrix = random_maps(2)
    seen = lambda x: resample(x, matrix)  # noqa: E731
    assert torch.autograd.gradcheck(seen, image)
    assert torch.autograd.gradgradcheck(lambda x: seen(x) ** 3, image, fast_mode=True)
