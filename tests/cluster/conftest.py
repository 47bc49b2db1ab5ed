"""A Ray for the tests of a module, real digits, and runs small enough to be done in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganlib.cluster import keeping_ray, ray_session
from ganlib.config import (
    Budget,
    Cadence,
    ClassifierConfig,
    ClusterConfig,
    DataConfig,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    GanConfig,
    GeneratorConfig,
    SmallResNet,
)
from ganlib.data import Dataset, prepare
from ganlib.training import RunSpec

CLUSTER = ClusterConfig(workers=2, threads=1, max_failures=2, device="cpu")


@pytest.fixture(scope="module")
def ray_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One local Ray for the module."""
    folder = tmp_path_factory.mktemp("ray")
    with keeping_ray(), ray_session(CLUSTER, log=folder / "ray.log"):
        yield


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The digits of scikit-learn's wheel, 8x8."""
    return prepare(DataConfig(size=8, channels=1), tmp_path_factory.mktemp("data"))


def small_gan(**changes: Any) -> GanConfig:
    """A GAN on 8x8 images that trains 1,000 images in well under a second."""
    config = GanConfig(
        generator=GeneratorConfig(network=DcganGenerator(width=8, latent_size=8)),
        discriminator=DiscriminatorConfig(network=DcganDiscriminator(width=8)),
        batch_size=32,
        budget=Budget(images=1_280),
        cadence=Cadence(report=320, evaluate=640, sample=1_280, snapshot=320),
        precision="float32",
    )
    return config.model_copy(update=changes)


def small_classifier(**changes: Any) -> ClassifierConfig:
    config = ClassifierConfig(
        network=SmallResNet(width=4),
        batch_size=32,
        budget=Budget(images=640),
        cadence=Cadence(report=320, evaluate=320, sample=640, snapshot=320),
        precision="float32",
    )
    return config.model_copy(update=changes)


def spec_of(config: GanConfig | ClassifierConfig, digits: Dataset, folder: Path) -> RunSpec:
    return RunSpec.of(
        config,
        dataset_folder=str(digits.folder),
        dataset_fingerprint=digits.fingerprint,
        run_folder=str(folder),
    )
