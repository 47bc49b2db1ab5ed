"""Every classifier: the papers' sizes, any channels, gradients, its file, and dropout by place."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from ganlib.config import AlexNet, CifarResNet, ClassifierNetwork, Custom, LeNet5, ResNet18
from ganlib.errors import ConfigError
from ganlib.models import build_classifier, key_dropout, load_model, save_model
from ganlib.models.cnn import Dropout
from ganlib.models.cnn.blocks import PaddedShortcut

MEMBERS = [m for m in get_args(get_args(ClassifierNetwork)[0]) if m is not Custom]
NETWORKS = [
    *(member(width=4) if member in (ResNet18, AlexNet) else member() for member in MEMBERS),
    ResNet18(stem="imagenet", width=4),
    AlexNet(variant="imagenet", width=4),
]


def name(network):
    return "-".join(str(value) for value in network.model_dump().values())


def smallest(network):
    return next(size for size in range(8, 257) if not network.needs(size))


@pytest.mark.parametrize(
    ("network", "size", "classes", "count"),
    [
        (LeNet5(), 28, 10, 61_706),
        (CifarResNet(depth=20), 32, 10, 269_722),
        (CifarResNet(depth=32), 32, 10, 464_154),
        (CifarResNet(depth=44), 32, 10, 658_586),
        (CifarResNet(depth=56), 32, 10, 853_018),
        (CifarResNet(depth=110), 32, 10, 1_727_962),
        (ResNet18(stem="imagenet"), 224, 1000, 11_689_512),
        (AlexNet(variant="imagenet"), 224, 1000, 61_100_840),
    ],
)
def test_parameters_are_as_many_as_in_the_paper(network, size, classes, count):
    channels = 1 if isinstance(network, LeNet5) else 3
    with torch.device("meta"):
        module = build_classifier(network, size=size, channels=channels, classes=classes)
    assert sum(parameter.numel() for parameter in module.parameters()) == count


@pytest.mark.parametrize("depth", [20, 32])
def test_a_cifar_resnet_is_as_deep_as_it_says_and_its_shortcuts_have_no_weights(depth):
    module = build_classifier(CifarResNet(depth=depth), size=32, channels=3, classes=10)
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert all(conv.kernel_size == (3, 3) for conv in convs)
    assert len(convs) + 1 == depth
    assert sum(isinstance(layer, PaddedShortcut) for layer in module.modules()) == 2
    x = module.blocks(torch.zeros(1, 16, 32, 32))
    assert x.shape == (1, 64, 8, 8)


def test_the_shortcut_without_weights_by_hand():
    image = torch.arange(1.0, 10.0).view(1, 1, 3, 3)
    out = PaddedShortcut(2, 2)(image)
    assert out.tolist() == [[[[1, 3], [7, 9]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]]


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("network", NETWORKS, ids=name)
def test_any_channels_and_a_gradient_to_every_weight(network, channels):
    torch.manual_seed(1)
    size = smallest(network)
    module = build_classifier(network, size=size, channels=channels, classes=5)
    image = torch.randn(8, channels, size, size)
    feature = module.features(image)
    assert feature.shape == (8, module.feature_size)
    module(image).square().sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("network", NETWORKS, ids=name)
def test_what_it_needs_is_what_it_takes(network):
    """The settings refuse a size exactly where the network does, and say a size that will do."""
    for size in (8, 11, 12, 31, 32, 62, 63):
        data = {"size": size, "channels": 1, "classes": 2}
        if network.needs(size):
            with pytest.raises(ConfigError) as caught:
                build_classifier(network, **data)
            assert caught.value.where == "data.size"
            assert network.needs(size) in caught.value.hint
        else:
            assert build_classifier(network, **data)(torch.zeros(2, 1, size, size)).shape == (2, 2)


@pytest.mark.parametrize("network", NETWORKS, ids=name)
def test_it_comes_back_from_its_folder_and_judges_each_image_alone(network, tmp_path):
    size = smallest(network)
    module = build_classifier(network, size=size, channels=3, classes=2)
    image = torch.randn(6, 3, size, size)
    module(image)  # moves the running statistics
    save_model(module, tmp_path, kind="classifier", classes=["a", "b"], meta={})
    loaded = load_model(tmp_path).module
    logits = module.eval()(image)
    assert torch.equal(loaded(image), logits)
    torch.testing.assert_close(loaded(image[2:3]), logits[2:3])


def dropped(seed, first, count=8, features=1000, layer=0, share=0.3):
    body = nn.Sequential(Dropout(share), Dropout(share))
    key_dropout(body, seed, first)
    return body[layer](torch.ones(count, features))


def test_dropout_keeps_the_mean_and_its_share():
    out = dropped(0, 0, count=100, features=4096)
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (out == 0).double().mean() == pytest.approx(0.3, abs=0.003)  # 4 sigma
    for axis in (0, 1):  # no row and no column is special
        share = (out == 0).double().mean(axis)
        sigma = (0.21 / out.shape[axis]) ** 0.5
        assert (share - 0.3).std() == pytest.approx(sigma, rel=0.2)


def test_dropout_belongs_to_seed_layer_and_place_alone():
    whole = dropped(7, 0)
    assert torch.equal(torch.cat([dropped(7, 0, 3), dropped(7, 3, 5)]), whole)
    others = [dropped(8, 0), dropped(7 + 2**32, 0), dropped(7, 0, layer=1), dropped(7, 1)]
    for other in others:
        apart = ((whole == 0) != (other == 0)).double().mean()
        assert apart == pytest.approx(2 * 0.3 * 0.7, abs=0.03)


def test_dropout_does_nothing_in_evaluation_and_needs_no_key():
    x = torch.ones(2, 8)
    layer = Dropout(0.5)
    assert set(layer(x).unique().tolist()) <= {0.0, 2.0}
    assert torch.equal(layer.eval()(x), x)
    assert layer.state_dict() == {}
    assert torch.equal(Dropout(0.0)(x), x)
