"""Noise by seed, and bytes to floats and back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganlib.models import draw, kind_of, noise, to_float, to_uint8


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_a_row_depends_on_its_own_seed_alone(kind):
    many = noise(torch.arange(100), 16, kind)
    assert torch.equal(noise(torch.tensor([42]), 16, kind)[0], many[42])
    assert torch.equal(noise(torch.tensor([7, 42, 7]), 16, kind), many[[7, 42, 7]])
    assert len(many.unique(dim=0)) == 100


def test_the_noise_is_standard_normal():
    z = noise(torch.arange(4000), 32)
    assert z.dtype == torch.float32
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    # Seeds that follow each other give unrelated rows.
    neighbours = (z[:-1] * z[1:]).mean()
    assert abs(neighbours) < 0.01


def test_uniform_noise_fills_the_cube_evenly():
    z = noise(torch.arange(4000), 32, "uniform")
    assert (z.min() >= -1, z.max() <= 1) == (True, True)
    assert abs(z.mean()) < 0.01
    assert abs(z.var() - 1 / 3) < 0.005
    assert abs((z.abs() > 0.9).float().mean() - 0.1) < 0.005
    assert abs((z[:-1] * z[1:]).mean()) < 0.005


def test_a_batch_is_drawn_from_one_generator():
    def drawn(kind):
        return draw(10, 7, kind, torch.Generator().manual_seed(4))

    assert torch.equal(
        drawn("normal"), torch.randn(10, 7, generator=torch.Generator().manual_seed(4))
    )
    assert torch.equal(drawn("uniform"), drawn("uniform"))
    assert 0.9 < drawn("uniform").abs().max() <= 1
    assert len(drawn("uniform").unique()) == 70


def test_a_network_that_names_no_noise_has_normal_noise():
    module = nn.Module()
    assert kind_of(module) == "normal"
    module.latent = nn.Linear(2, 2)  # a user's own, which only has the name
    assert kind_of(module) == "normal"
    del module.latent
    module.latent = "uniform"
    assert kind_of(module) == "uniform"


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
