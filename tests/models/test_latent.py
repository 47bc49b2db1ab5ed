"""Noise by seed, and bytes to floats and back."""

from __future__ import annotations

import torch

from ganlib.models import noise, to_float, to_uint8


def test_a_row_depends_on_its_own_seed_alone():
    many = noise(torch.arange(100), 16)
    assert torch.equal(noise(torch.tensor([42]), 16)[0], many[42])
    assert torch.equal(noise(torch.tensor([7, 42, 7]), 16), many[[7, 42, 7]])
    assert len(many.unique(dim=0)) == 100


def test_the_noise_is_standard_normal():
    z = noise(torch.arange(4000), 32)
    assert z.dtype == torch.float32
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    # Seeds that follow each other give unrelated rows.
    neighbours = (z[:-1] * z[1:]).mean()
    assert abs(neighbours) < 0.01


def test_negative_seeds_and_none_at_all():
    assert noise(torch.tensor([-1, -(2**40)]), 4).isfinite().all()
    assert noise(torch.zeros(0, dtype=torch.int64), 4).shape == (0, 4)


def test_every_level_survives_the_way_to_floats_and_back():
    image = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(2, 16, 16, 3)
    x = to_float(image)
    assert x.shape == (2, 3, 16, 16)
    assert (x.min(), x.max()) == (-1, 1)
    assert torch.equal(to_uint8(x), image)
    assert torch.equal(image[0, 0, :, 0], torch.arange(16, dtype=torch.uint8))  # left as it was


def test_outside_values_are_clamped_and_halves_go_to_the_nearest():
    x = torch.tensor([-3.0, 3.0, 0.0, 1 / 255]).view(1, 1, 2, 2)
    assert to_uint8(x).flatten().tolist() == [0, 255, 128, 128]
    assert to_uint8(x.bfloat16()).dtype == torch.uint8
