"""Ways through latent space: ends, angles and norms by hand, distributions against scipy's."""

from __future__ import annotations

from math import inf, nan, pi

import pytest
import torch
from scipy import stats

from ganlib.evaluation import class_sweep, interpolate, render, truncate
from ganlib.models import noise


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_both_ends_are_there_exactly(kind):
    start, end = noise(torch.tensor([3, 8]), 64, kind)
    z = interpolate(start, end, 5, kind)
    assert z.shape == (5, 64)
    assert z.dtype == torch.float32
    assert torch.equal(z[0], start)
    assert torch.equal(z[4], end)


def test_normal_latents_turn_in_equal_angles_and_keep_their_norm():
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    z = interpolate(start, end, 4, "normal")
    angle = torch.linspace(0, pi / 2, 4)
    torch.testing.assert_close(z, 2 * torch.stack([angle.cos(), angle.sin()], 1))
    torch.testing.assert_close(z.norm(dim=1), torch.full((4,), 2.0))


def test_half_way_is_as_long_as_the_ends_where_a_straight_line_would_be_shorter():
    start, end = noise(torch.tensor([0, 1]), 512)
    middle = interpolate(start, end, 3, "normal")[1].norm()
    assert 0.95 < middle / start.norm() < 1.05
    assert ((start + end) / 2).norm() / start.norm() < 0.8


def test_uniform_latents_go_straight_and_stay_in_their_box():
    start, end = noise(torch.tensor([3, 8]), 16, "uniform")
    z = interpolate(start, end, 5, "uniform")
    torch.testing.assert_close(z[1], 0.75 * start + 0.25 * end)
    assert z.abs().max() <= 1


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_ends_on_one_line_are_joined_by_it(factor):
    start = torch.tensor([1.0, 2.0])
    z = interpolate(start, factor * start, 3, "normal")
    torch.testing.assert_close(z[1], (1 + factor) / 2 * start)
    assert z.isfinite().all()


def test_one_step_is_refused():
    with pytest.raises(ValueError, match="1 steps"):
        interpolate(torch.ones(2), torch.ones(2), 1, "normal")


@pytest.mark.parametrize("threshold", [0.1, 0.8, 2.0])
def test_truncated_noise_has_the_distribution_of_drawing_again(threshold):
    z = truncate(noise(torch.arange(500), 16), threshold, "normal")
    assert z.dtype == torch.float32
    assert z.abs().max() <= threshold * (1 + 1e-6)
    found = stats.kstest(z.flatten().numpy(), stats.truncnorm(-threshold, threshold).cdf)
    assert found.pvalue > 0.01


def test_truncation_keeps_order_and_sign_and_a_wide_one_changes_nothing():
    z = torch.linspace(-5, 5, 101)
    cut = truncate(z, 1.0, "normal")
    assert (cut.diff() > 0).all()
    torch.testing.assert_close(cut, -cut.flip(0))
    assert (cut.abs() <= z.abs() + 1e-6).all()
    torch.testing.assert_close(truncate(z, inf, "normal"), z)


@pytest.mark.parametrize(
    ("threshold", "kind", "reason"),
    [(0.0, "normal", "above 0"), (nan, "normal", "above 0"), (1.0, "uniform", "no tails")],
)
def test_truncations_that_mean_nothing_are_refused(threshold, kind, reason):
    with pytest.raises(ValueError, match=reason):
        truncate(torch.zeros(1), threshold, kind)


def test_a_sweep_gives_each_seed_every_class():
    seed, label = class_sweep(torch.tensor([5, 6]), torch.tensor([0, 2, 4]))
    assert seed.tolist() == [5, 5, 5, 6, 6, 6]
    assert label.tolist() == [0, 2, 4, 0, 2, 4]


class _Echo(torch.nn.Module):
    """Shows its latent as an image, in evaluation mode alone."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, z_NZ, label_N):
        assert not self.training
        return (self.scale * z_NZ).view(-1, 1, 1, 2) + 0 * label_N[:, None, None, None]


def test_images_of_latents_of_ones_own():
    echo = _Echo()
    image = render(echo, torch.tensor([[-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]), torch.zeros(3), 2)
    assert image.flatten(1).tolist() == [[0, 255], [255, 0], [255, 255]]
    assert echo.training
