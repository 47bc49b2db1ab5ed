"""Scikit-learn's digits, real ones, as images and classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ganlib.config import DataConfig
from ganlib.data import prepare


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, Tensor]:
    """image_NHWC uint8, label_N: 1,400 and more, in random order."""
    dataset = prepare(DataConfig(), tmp_path_factory.mktemp("digits"), workers=1)
    images = dataset.load("train")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images.image_NHWC[order], images.label_N[order]


def near_centres(digits: tuple[Tensor, Tensor]):
    """A judge: images by their distance to the mean image of each class."""
    image_NHWC, label_N = digits
    flat_NF = image_NHWC.flatten(1).float()
    centre_KF = torch.stack([flat_NF[label_N == k].mean(0) for k in range(10)])

    def judge(images: Tensor) -> tuple[Tensor, Tensor]:
        distance_NK = torch.cdist(images.flatten(1).float(), centre_KF)
        return distance_NK, -distance_NK

    return judge


@pytest.fixture(scope="session")
def judge(digits: tuple[Tensor, Tensor]):
    return near_centres(digits)
