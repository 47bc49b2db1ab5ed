"""Networks beside the judge: what they see, what they call it, and what they ask for."""

from __future__ import annotations

import importlib.util
from typing import get_args

import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import nn

from ganlib.config import (
    INCEPTION,
    EvaluationConfig,
    ExtractorConfig,
    InceptionFeatures,
    JudgeFeatures,
    PretrainedFeatures,
    RandomFeatures,
    extractors,
    require_extractors,
)
from ganlib.data import Images
from ganlib.errors import ConfigError
from ganlib.evaluation.inception import InceptionExtractor, InceptionV3
from ganlib.evaluation.networks import PretrainedExtractor, RandomExtractor, build_extractor
from ganlib.evaluation.opinions import opinion
from ganlib.evaluation.others import Others
from tests.evaluation.test_score import Memory

DAISY, PALACE = 985, 698  # of the 1000 classes of ImageNet, from 0
CONFIG = EvaluationConfig(samples=200, repeats=2)


@pytest.fixture(scope="module")
def pretrained():
    return PretrainedExtractor()


@pytest.mark.parametrize("size", [8, 28, 64])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_random_features_depend_on_the_image_and_the_seed_alone(size, channels):
    image = torch.randint(0, 256, (7, size, size, channels), dtype=torch.uint8)
    settings = RandomFeatures(width=8, features=16)
    feature, logits = RandomExtractor(settings, channels)(image)
    assert feature.shape == (7, 16)
    assert logits.shape == (7, 1)
    in_parts, _ = RandomExtractor(settings, channels, batch=3)(image)
    torch.testing.assert_close(in_parts, feature)
    other, _ = RandomExtractor(RandomFeatures(width=8, features=16, seed=1), channels)(image)
    assert (other - feature).abs().mean() > 0.1 * feature.abs().mean()


def test_random_features_are_the_same_in_every_process():
    ramp = torch.arange(64, dtype=torch.uint8).view(1, 8, 8, 1) * 4
    feature, _ = RandomExtractor(RandomFeatures(width=4, features=2), 1)(ramp)
    torch.testing.assert_close(
        feature, torch.tensor([[-0.0495922, -0.8458194]]), rtol=1e-4, atol=1e-5
    )


class Noise(nn.Module):
    latent_size = 64

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z, label):
        return torch.erf(self.scale * z).view(-1, 1, 8, 8)


def others(train, learnt):
    return Others(Images(train[:0], learnt[:0]), Images(train, learnt))


@pytest.fixture(scope="module")
def opinions(digits):
    train, learnt, held, label = digits
    extractor = build_extractor(RandomFeatures(), channels=1)
    generators = {
        "real": Memory(train, learnt),
        "few": Memory(train, learnt, variety=1),
        "noise": Noise(),
    }
    given = (
        extractor,
        Images(held, label),
        Others(Images(train[:0], learnt[:0]), Images(train, learnt)),
        CONFIG,
    )
    return {
        name: opinion(generator, *given, classes=10, split="test")
        for name, generator in generators.items()
    }


def test_a_random_network_tells_real_from_few_from_noise(opinions):
    real, few, noise = (opinions[name] for name in ("real", "few", "noise"))
    assert real["relative_coverage"].value > 0.75
    assert few["relative_coverage"].value < 0.35
    assert noise["relative_coverage"].value < 0.01
    assert real["scaled_distance"].value < 0.1 < few["scaled_distance"].value
    assert noise["scaled_distance"].value > 5 * few["scaled_distance"].value


def test_an_opinion_has_nothing_about_classes_and_names_its_network(opinions):
    rows = opinions["real"].rows
    assert {row.metric for row in rows} == {
        "scaled_distance", "frechet_distance", "coverage", "relative_coverage", "density",
        "precision", "recall", "kernel_distance", "split_half_distance", "support",
    }  # fmt: skip
    assert {(row.extractor, row.layer) for row in rows} == {("random-0-32", "projection-64")}
    assert opinions["real"].share_K == ()


def test_a_frechet_distance_is_an_fid_with_the_inception_network_alone(digits, opinions):
    train, learnt, held, label = digits

    class Inception(RandomExtractor):
        """Some of its features are logits of more classes than the images have."""

        name = InceptionExtractor.name

        def __init__(self):
            super().__init__(RandomFeatures(), 1)
            self.name = InceptionExtractor.name

        def __call__(self, image_NHWC):
            feature_NF, _ = super().__call__(image_NHWC)
            return feature_NF, feature_NF[:, :20]

    extractor = Inception()
    given = extractor, Images(held, label), others(train, learnt), CONFIG
    found = opinion(Memory(train, learnt), *given, classes=10, split="test")
    assert found["fid_200_test"].value == opinions["real"]["frechet_distance"].value
    assert found["fid_200_test"].extractor == "inception-2015-12-05"
    assert "frechet_distance" not in found.readings()
    scored = found["inception_score"]
    assert 1 < scored.low < scored.value < scored.high < 20
    assert (scored.layer, scored.floor is None) == ("logits", False)
    assert found.spread["fid_200_test"] == opinions["real"].spread["frechet_distance"]


@pytest.mark.parametrize(("photo", "class_"), [("flower.jpg", DAISY), ("china.jpg", PALACE)])
def test_the_pretrained_network_knows_what_photographs_show(pretrained, photo, class_):
    image = torch.from_numpy(load_sample_image(photo).copy())
    side = min(image.shape[:2])
    left = (image.shape[1] - side) // 2
    feature, logits = pretrained(image[None, :side, left : left + side])
    assert feature.shape == (1, 1280)
    assert int(logits.argmax()) == class_


def test_the_pretrained_network_sees_grey_as_colour_without_any(pretrained):
    image = torch.randint(0, 256, (3, 16, 16, 1), dtype=torch.uint8)
    grey, _ = pretrained(image)
    colour, _ = pretrained(image.expand(-1, -1, -1, 3))
    assert torch.equal(grey, colour)


def test_every_kind_is_built_or_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(extractors, "PUBLISHED", "")  # of the seeded weights below
    torch.save(InceptionV3().state_dict(), tmp_path / "weights.pth")
    monkeypatch.setenv(INCEPTION, str(tmp_path / "weights.pth"))
    built = {}
    for member in get_args(get_args(ExtractorConfig)[0]):
        if member is JudgeFeatures:
            with pytest.raises(ConfigError, match="built from its model"):
                build_extractor(member(), channels=3)
        else:
            built[member] = build_extractor(member(), channels=3).name
    assert built == {
        RandomFeatures: "random-0-32:projection-64",
        PretrainedFeatures: "efficientnet-lite0:pool",
        InceptionFeatures: "inception-2015-12-05:pool",
    }


def test_what_is_missing_is_named_with_what_to_install_or_set(tmp_path, monkeypatch):
    monkeypatch.delenv(INCEPTION, raising=False)
    with pytest.raises(ConfigError, match=f"asks for inception: {INCEPTION} is not set") as found:
        build_extractor(InceptionFeatures(), channels=1)
    assert "weights-inception-2015-12-05-6726825d.pth" in found.value.hint
    monkeypatch.setenv(INCEPTION, str(tmp_path / "none.pth"))
    with pytest.raises(ConfigError, match=r"none\.pth is no file"):
        build_extractor(InceptionFeatures(), channels=1)
    (tmp_path / "other.pth").write_bytes(b"other weights")
    monkeypatch.setenv(INCEPTION, str(tmp_path / "other.pth"))
    with pytest.raises(
        ConfigError, match=r"other\.pth is not weights-inception.*its sha256 is [0-9a-f]{64}, not"
    ):
        require_extractors([InceptionFeatures()], 1)  # before it is built
    with pytest.raises(ConfigError, match="pretrained: it looks at grey or colour"):
        build_extractor(PretrainedFeatures(), channels=4)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="efficientnet-lite-pytorch is not installed") as found:
        build_extractor(PretrainedFeatures(), channels=1)
    assert "[pretrained]" in found.value.hint
