"""Which labels are asked for, and images as a function of seed and label."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ganlib.config import DcganGenerator
from ganlib.evaluation import balanced_labels, generate, grid_labels
from ganlib.models import build_generator


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    return build_generator(DcganGenerator(width=4), size=8, channels=3, classes=5)


def test_an_image_depends_on_its_seed_and_label_alone(generator):
    generator.train()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    seed, label = torch.arange(40), torch.arange(40) % 5
    image = generate(generator, seed, label, batch=16)
    assert image.dtype == torch.uint8
    assert image.shape == (40, 8, 8, 3)
    one = generate(generator, seed[7:8], label[7:8])
    assert (one.int() - image[7:8].int()).abs().max() <= 1
    assert generator.training  # as it was
    for name, value in generator.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_generators_in_float64_sample_too(generator):
    single = generate(generator, torch.arange(4), torch.arange(4))
    double = generate(generator.double(), torch.arange(4), torch.arange(4))
    generator.float()
    assert (single.int() - double.int()).abs().max() <= 1


def test_the_noise_is_what_the_generator_names():
    class Shows(nn.Module):
        latent_size, latent = 64, "uniform"

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, z_NZ, label_N):
            return (z_NZ * self.scale).view(-1, 1, 8, 8) / 2

    module = Shows()
    level = generate(module, torch.arange(100), torch.zeros(100).long())
    assert (level.min(), level.max()) == (64, 191)
    module.latent = "normal"
    level = generate(module, torch.arange(100), torch.zeros(100).long())
    assert (level.min(), level.max()) == (0, 255)


def test_no_images_at_all(generator):
    empty = torch.zeros(0, dtype=torch.int64)
    assert generate(generator, empty, empty).shape == (0, 8, 8, 3)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 500), st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_labels_follow_the_shares_to_within_one(count, shares):
    if sum(shares) < 1e-3:
        shares[0] = 1.0
    share = torch.tensor(shares, dtype=torch.float64)
    label = balanced_labels(count, share)
    assert len(label) == count
    assert label.dtype == torch.int64
    got = torch.bincount(label, minlength=len(shares))
    assert ((got - share / share.sum() * count).abs() < 1 + 1e-6).all()


def test_equal_shares_give_the_rest_to_the_lower_classes():
    assert torch.bincount(balanced_labels(17, 5)).tolist() == [4, 4, 3, 3, 3]
    assert torch.bincount(balanced_labels(10, torch.tensor([0.5, 0.0, 0.5]))).tolist() == [5, 0, 5]


def test_the_classes_of_real_images_come_back_exactly():
    real = torch.tensor([0] * 35 + [1] * 36 + [2] * 29)
    share = torch.bincount(real) / len(real)
    assert torch.equal(balanced_labels(100, share), real)


def test_grid_rows():
    assert grid_labels(3, 2).tolist() == [0, 0, 1, 1, 2, 2]
    many = grid_labels(100, 1, most_rows=4)
    assert many.tolist() == [0, 25, 50, 75]
