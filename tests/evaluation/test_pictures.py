"""Pictures open, have the promised size, and show the pixels they were given."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib.evaluation import nearest_neighbours, pictures


def opened(png):
    return Image.open(io.BytesIO(png)).convert("RGB")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_shows_every_pixel_in_its_place(channels):
    image = torch.randint(0, 256, (5, 4, 4, channels), dtype=torch.uint8)
    page = np.asarray(opened(pictures.grid(image, 3, 2, gap=1)))
    assert page.shape == (2 * (8 + 1) + 1, 3 * (8 + 1) + 1, 3)
    for place in range(5):
        row, column = divmod(place, 3)
        top, left = 1 + row * 9, 1 + column * 9
        tile = page[top : top + 8 : 2, left : left + 8 : 2]
        assert (tile == image[place].expand(4, 4, 3).numpy()).all()
    assert (page[10:, 19:] == 255).all()  # the empty sixth place


def test_names_and_groups_make_room():
    image = torch.zeros(4, 4, 4, 1, dtype=torch.uint8)
    plain = opened(pictures.grid(image, 2, 1))
    named = opened(pictures.grid(image, 2, 1, names=["daisy", "sunflower"]))
    grouped = opened(pictures.grid(image, 2, 1, group=1))
    assert named.width > plain.width + 20
    assert grouped.width > plain.width
    assert named.height == plain.height


@pytest.mark.parametrize(("channels", "shown"), [(2, 1), (4, 3), (7, 3)])
def test_of_other_channels_the_first_are_shown(channels, shown):
    image = torch.randint(0, 256, (3, 4, 4, channels), dtype=torch.uint8)
    assert pictures.grid(image, 2, 1) == pictures.grid(image[..., :shown], 2, 1)
    assert pictures.visible(image.numpy()).shape == ((3, 4, 4, 3) if shown == 3 else (3, 4, 4))


def test_plots_open():
    names = [f"class number {k}" for k in range(12)]
    points = [(0, 0.1), (1000, 0.5)]
    for png in (
        pictures.curves({"coverage": points, "loss": points}, floors={"coverage": 0.9}),
        pictures.curves({}),
        pictures.class_bars(names, [1 / 12] * 12, [1 / 12] * 12, title="classes"),
        pictures.confusion(names, np.eye(12, dtype=int).tolist()),
        pictures.confusion([str(k) for k in range(30)], np.eye(30, dtype=int).tolist()),
    ):
        page = np.asarray(opened(png))
        assert min(page.shape[:2]) > 100
        assert page.std() > 1


def test_a_copied_training_image_is_found_at_distance_zero(judge, digits):
    train = digits[0]
    found = nearest_neighbours(train[[5, 70]], train, judge, count=3)
    assert found.index_MJ.shape == (2, 3)
    assert found.index_MJ[:, 0].tolist() == [5, 70]
    assert found.distance_MJ[:, 0].max() < 1e-3
    assert (found.distance_MJ.diff(dim=1) >= 0).all()
    page = opened(found.picture(train[[5, 70]], train, groups=2, scale=1))
    assert page.width > 8 * 8
