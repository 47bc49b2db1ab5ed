"""Embeddings and feature maps of a folder of pictures, row by row as its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib.config import LeNet5
from ganlib.errors import InputError
from ganlib.models import LoadedModel, build_classifier, load_model, save_model, to_float
from ganlib.stages import inside
from ganlib.stages.predict import predict
from ganlib.storage import Home


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    module = build_classifier(LeNet5(), size=12, channels=1, classes=3)
    save_model(module, tmp_path / "model", kind="classifier", classes=["a", "b", "c"], meta={})
    return tmp_path / "model"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for number in (0, 1, 3):
        pixels = draws.integers(0, 256, (12, 12), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "2.png").write_text("no picture")
    return folder


def test_features_and_maps_are_the_networks_own(
    model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlib.stages.predict.BATCH", 3)
    found = predict(
        Home.open(tmp_path / "home"),
        str(model),
        pictures,
        top=1,
        out=tmp_path / "t.csv",
        features=True,
        feature_maps="conv2",
    )
    assert (found.features, found.feature_maps) == (
        str(tmp_path / "t-features.npz"),
        str(tmp_path / "t-maps.npz"),
    )
    features, maps = np.load(str(found.features)), np.load(str(found.feature_maps))
    table = found.to_frame()
    assert features["files"].tolist() == maps["files"].tolist() == table["file"].tolist()
    assert features["features"].shape == (4, 84)
    assert maps["maps"].shape == (4, 16, 2, 2)
    assert features["features"].dtype == maps["maps"].dtype == np.float32
    module = load_model(model).module
    for row, file in enumerate(table["file"]):
        if Path(file).name == "2.png":
            assert np.isnan(features["features"][row]).all()
            assert np.isnan(maps["maps"][row]).all()
            continue
        pixels = torch.from_numpy(np.array(Image.open(file)))[None, ..., None]
        x = to_float(pixels)
        expected = module.features(x)[0].detach().numpy()
        np.testing.assert_allclose(features["features"][row], expected, rtol=1e-4, atol=1e-6)
        y = torch.nn.functional.max_pool2d(module.conv1(x).relu(), 2)
        expected = module.conv2(y)[0].detach().numpy()
        np.testing.assert_allclose(maps["maps"][row], expected, rtol=1e-4, atol=1e-6)


def test_without_being_asked_nothing_is_beside_the_table(
    model: Path, pictures: Path, tmp_path: Path
) -> None:
    home = Home.open(tmp_path / "home")
    found = predict(home, str(model), pictures, top=1, out=tmp_path / "t.csv")
    assert found.features is None
    assert found.feature_maps is None
    assert not list(tmp_path.glob("*.npz"))


def test_an_unknown_layer_is_told_the_nearest_and_all(
    model: Path, pictures: Path, tmp_path: Path
) -> None:
    home = Home.open(tmp_path / "home")
    with pytest.raises(InputError, match="there is no layer 'conv3'") as caught:
        predict(home, str(model), pictures, top=1, out=tmp_path / "t.csv", feature_maps="conv3")
    assert "did you mean conv" in caught.value.hint
    assert "hidden1, hidden2, head" in caught.value.hint
    assert not (tmp_path / "t.csv").exists()


def test_maps_that_would_fill_the_memory_are_refused_with_their_size(model: Path) -> None:
    loaded: LoadedModel = load_model(model)
    seen = inside.Inside(loaded, 1_000_000, features=False, layer="conv1")
    with pytest.raises(InputError, match=r"take 3\.5 GB, more than 1\.1"):
        seen.logits(torch.zeros(2, 1, 12, 12))
