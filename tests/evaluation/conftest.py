"""A real classifier on real digits, trained once for this folder's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib.config import SmallResNet
from ganlib.evaluation import ClassifierExtractor
from ganlib.losses import cross_entropy
from ganlib.models import build_classifier, load_model, save_model, to_float

NAMES = tuple(str(digit) for digit in range(10))


@pytest.fixture(scope="session")
def digits():
    """(train images, train labels, held-out images, held-out labels), 8x8 grey."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    image = torch.from_numpy((raw.images / 16 * 255).round().astype(np.uint8))[..., None]
    label = torch.from_numpy(raw.target).long()
    order = torch.randperm(len(image), generator=torch.Generator().manual_seed(0))
    image, label = image[order], label[order]
    return image[:1400], label[:1400], image[1400:], label[1400:]


@pytest.fixture(scope="session")
def judge_folder(digits, tmp_path_factory) -> Path:
    torch.manual_seed(0)
    image, label, _, _ = digits
    network = build_classifier(SmallResNet(width=8), size=8, channels=1, classes=10)
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(150):
        rows = torch.randint(len(image), (64,), generator=torch.Generator().manual_seed(step))
        adam.zero_grad()
        cross_entropy(network(to_float(image[rows])), label[rows], 0.0).mean().backward()
        adam.step()
    folder = tmp_path_factory.mktemp("judge")
    save_model(network, folder, kind="classifier", classes=NAMES, meta={})
    return folder


@pytest.fixture(scope="session")
def judge(judge_folder) -> ClassifierExtractor:
    return ClassifierExtractor(load_model(judge_folder), "judge:features")
