"""The network of the FID: its resize by hand, its shapes and names, and torch-fidelity's own."""

from __future__ import annotations

import os
import sys

import pytest
import torch

from ganlib.bench.fidelity import torchvision
from ganlib.config import extractors
from ganlib.errors import ConfigError
from ganlib.evaluation.inception import VARIABLE, InceptionExtractor, InceptionV3, resize


def test_the_resize_starts_at_the_first_pixel_and_repeats_the_last():
    row = torch.tensor([0.0, 10.0, 20.0]).view(1, 1, 1, 3)
    found = resize(row.expand(1, 1, 3, 3), 6)[0, 0]
    assert found[0].tolist() == [0, 5, 10, 15, 20, 20]
    assert torch.equal(found, found[:1].expand(6, 6))
    smaller = resize(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, 0]
    assert smaller.tolist() == [[0, 2], [8, 10]]  # picked, not averaged
    same = torch.rand(1, 3, 7, 7)
    torch.testing.assert_close(resize(same, 7), same)


@pytest.fixture
def any_weights(monkeypatch):
    """Seeded ones have another digest than the published file."""
    monkeypatch.setattr(extractors, "PUBLISHED", "")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Seeded ones, with statistics that a network of this depth keeps in range."""
    torch.manual_seed(0)
    network = InceptionV3()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.1, 0.3)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


IMAGES = torch.randint(
    0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def test_its_shapes_and_the_size_of_the_published_network(weights, any_weights):
    extractor = InceptionExtractor(weights)
    feature, logits = extractor(IMAGES)
    assert feature.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    assert feature.std() > 0
    parameters = sum(p.numel() for p in extractor.module.parameters())
    assert parameters == 23_834_568 + 8 * 2049  # of 1000 classes without a second head, and 8
    grey, _ = extractor(IMAGES[..., :1])
    as_colour, _ = extractor(IMAGES[..., :1].expand(-1, -1, -1, 3))
    assert torch.equal(grey, as_colour)


def test_what_is_no_such_file_is_refused_by_name(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=f"{VARIABLE}=.*none.pth"):
        InceptionExtractor(tmp_path / "none.pth")
    torch.save({"fc.bias": torch.zeros(3)}, tmp_path / "other.pth")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other.pth"))
    with pytest.raises(ConfigError, match="is not the inception network"):
        InceptionExtractor.from_environment()
    monkeypatch.delenv(VARIABLE)
    assert InceptionExtractor.from_environment() is None


def test_other_weights_of_the_same_shape_are_none(weights):
    with pytest.raises(ConfigError, match=r"its sha256 is \w{64}, not 6726825d"):
        InceptionExtractor(weights)


@pytest.mark.parametrize("value", [b"no archive", torch.zeros(3), [1, 2], {"fc.bias": "text"}])
def test_whatever_else_the_file_holds_is_refused_by_name(tmp_path, any_weights, value):
    path = tmp_path / "other.pth"
    if isinstance(value, bytes):
        path.write_bytes(value)
    else:
        torch.save(value, path)
    with pytest.raises(ConfigError, match="is not the inception network"):
        InceptionExtractor(path)


@pytest.fixture
def theirs(monkeypatch):
    for name, module in torchvision().items():
        monkeypatch.setitem(sys.modules, name, module)
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    layers = ["2048", "logits_unbiased"]
    return lambda path: module.FeatureExtractorInceptionV3("i", layers, str(path))


def agree(path, theirs):
    expected = theirs(path)(IMAGES.permute(0, 3, 1, 2).contiguous())
    for ours, other in zip(InceptionExtractor(path)(IMAGES), expected, strict=True):
        scale = float(other.abs().max())
        assert float((ours - other).abs().max()) <= 1e-3 * scale


def test_it_is_torch_fidelitys_network_with_seeded_weights(weights, any_weights, theirs):
    agree(weights, theirs)


@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no weights")
def test_it_is_torch_fidelitys_network_with_the_published_weights(theirs):
    agree(os.environ[VARIABLE], theirs)
