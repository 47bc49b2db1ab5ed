"""Which real images are missed, and how the picture shows that some or none are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib.evaluation import missed, missing_picture

IMAGES = torch.full((6, 8, 8, 1), 40, dtype=torch.uint8)
LABELS = torch.tensor([0, 0, 0, 1, 1, 1])


def opened(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))


def test_missed_is_what_no_set_covers_the_densest_places_first():
    covered = torch.tensor([[1, 0, 0, 0, 2, 0], [0, 0, 0, 1, 0, 0]])
    radius = torch.tensor([1.0, 3.0, 2.0, 1.0, 1.0, 0.5])
    assert missed(covered, radius).tolist() == [5, 2, 1]


@pytest.mark.parametrize("row", [[2, 1, 5], [4], [0, 1]])
def test_each_missed_image_is_shown_in_the_row_of_its_class(row):
    """And a class that misses none has no row."""
    page = opened(missing_picture(IMAGES, LABELS, torch.tensor(row), ["a", "b"], columns=3))
    tiles = page[:, -3 * 10 :]
    missing = sorted({int(LABELS[one]) for one in row})
    for place, label in enumerate(missing):
        top = 2 + 10 * place
        dark = (tiles[top : top + 8] == 40).all(0).sum()
        assert dark == 8 * sum(LABELS[one] == label for one in row), label
    assert len(page) == 2 + 10 * len(missing)


def test_where_nothing_is_missed_the_picture_says_so_and_is_not_blank():
    nothing = torch.empty(0, dtype=torch.int64)
    page = opened(missing_picture(IMAGES, LABELS, nothing, ["a", "b"]))
    assert page.min() < 60
    assert 0.02 < (page < 128).mean() < 0.3
    # Nothing is cut off: a margin is left all around.
    edge = np.concatenate([page[:6].ravel(), page[-6:].ravel(), page[:, :6].ravel()])
    assert edge.min() == 255
    assert page[:, -6:].min() == 255
