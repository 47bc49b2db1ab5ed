"""Real digits, prepared once, and a quickly trained selector of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ganlib.config import Budget, Cadence, ClassifierConfig, DataConfig, GanConfig, SmallResNet
from ganlib.data import Dataset, prepare
from ganlib.training import RunSpec
from ganlib.training.execute import execute


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(DataConfig(), tmp_path_factory.mktemp("digits"), workers=1)


@pytest.fixture(scope="session")
def selector(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ClassifierConfig(network=SmallResNet(width=8), budget=Budget(images=6_400))
    folder = tmp_path_factory.mktemp("selector")
    return Path(execute(spec_of(config, digits, folder)).model)


def spec_of(
    config: GanConfig | ClassifierConfig, dataset: Dataset, folder: Path, **fields: object
) -> RunSpec:
    return RunSpec.of(
        config,
        dataset_folder=str(dataset.folder),
        dataset_fingerprint=dataset.fingerprint,
        run_folder=str(folder),
        **fields,
    )


def often(images: int) -> Cadence:
    """Every kind of moment each `images`."""
    return Cadence(report=images, evaluate=images, sample=images, snapshot=images)
