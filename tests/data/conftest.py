"""Small folders of real pictures: scikit-learn's digits, enlarged, as files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.config import DataConfig, Folder
from ganlib.data.sources.digits import DigitsSource

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def digits() -> DigitsSource:
    return DigitsSource()


@pytest.fixture
def make_folder(tmp_path: Path, digits: DigitsSource) -> MakeFolder:
    """`make_folder(classes=2, each=4, ending=".png", side=16)` in tmp_path/images."""

    def make(classes: int = 2, each: int = 4, ending: str = ".png", side: int = 16) -> Path:
        for label in range(classes):
            folder = tmp_path / "images" / f"digit-{label}"
            folder.mkdir(parents=True, exist_ok=True)
            for number, row in enumerate(np.flatnonzero(digits.label_N == label)[:each]):
                image = Image.fromarray(digits.image_NHWC[row, :, :, 0])
                image.resize((side, side), Image.Resampling.BILINEAR).convert("RGB").save(
                    folder / f"{number:03d}{ending}"
                )
        return tmp_path / "images"

    return make


@pytest.fixture(scope="session")
def flowers(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flowers")
    with zipfile.ZipFile(test_data / "flowers5" / "flowers5_128.zip") as archive:
        archive.extractall(folder)
    return folder / "flowers5"


def folder_config(path: Path, size: int = 16, channels: int = 3, **settings: object) -> DataConfig:
    return DataConfig.model_validate(
        {"source": Folder(path=str(path)), "size": size, "channels": channels, **settings}
    )
