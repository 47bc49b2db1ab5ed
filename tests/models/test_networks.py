"""Every member of every union, at every size it promises; gradients; one rank is two ranks."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass
from typing import get_args

import pytest
import torch
from torch import nn

from ganlib.config import (
    ClassifierNetwork,
    Custom,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorNetwork,
    GeneratorNetwork,
    Hinge,
    LeNet5,
    SmallResNet,
)
from ganlib.determinism import FlatGradients
from ganlib.errors import ConfigError
from ganlib.losses import adversarial
from ganlib.models import build_classifier, build_discriminator, build_generator, noise
from tests.ranks import on_ranks


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(
        textwrap.dedent("""
        import torch
        from torch import nn
        from ganlib.models.layers import BatchNorm

        class Classifier(nn.Module):
            def __init__(self, size, channels, classes, width=4):
                super().__init__()
                self.feature_size = width
                self.body = nn.Linear(size * size * channels, width)
                self.head = nn.Linear(width, classes)
            def features(self, image): return self.body(image.flatten(1))
            def forward(self, image): return self.head(self.features(image))

        class Generator(nn.Module):
            def __init__(self, size, channels, classes, latent_size=3):
                super().__init__()
                self.latent_size = latent_size
                self.shape = (channels, size, size)
                self.body = nn.Linear(latent_size + classes, channels * size * size)
                self.classes = classes
            def forward(self, z, label):
                y = nn.functional.one_hot(label, self.classes).to(z)
                return torch.tanh(self.body(torch.cat([z, y], 1))).view(-1, *self.shape)

        class Discriminator(nn.Module):
            def __init__(self, size, channels, classes):
                super().__init__()
                self.body = nn.Linear(channels * size * size, classes)
            def forward(self, image, label):
                return self.body(image.flatten(1)).gather(1, label[:, None])[:, 0]

        def normed(*, size, channels, classes, replicas=None):
            module = Generator(size, channels, classes)
            module.norm = BatchNorm(3, replicas=replicas)
            return module

        def local(*, size, channels, classes, kind):
            module = Discriminator(size, channels, classes)
            module.norm = nn.BatchNorm2d(3) if kind == "torch" else BatchNorm(3)
            return module

        def nothing(**options): return 7
        def bare(size, channels, classes): return nn.Identity()
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_networks"
    sys.modules.pop("own_networks", None)


def members(union):
    return get_args(get_args(union)[0])


def configured(member, build):
    return Custom(build=build) if member is Custom else member()


SHAPE = {"size": 16, "channels": 3, "classes": 5}


@pytest.mark.parametrize("member", members(ClassifierNetwork))
def test_every_classifier(member, own_package):
    network = configured(member, f"{own_package}:Classifier")
    module = build_classifier(network, **SHAPE)
    image = torch.randn(4, 3, 16, 16)
    feature = module.features(image)
    assert feature.shape == (4, module.feature_size)
    module.eval()
    logits = module(image)
    assert logits.shape == (4, 5)
    torch.testing.assert_close(module.head(module.features(image)), logits)
    assert module.arguments["classes"] == 5


@pytest.mark.parametrize("member", members(GeneratorNetwork))
def test_every_generator(member, own_package):
    module = build_generator(configured(member, f"{own_package}:Generator"), **SHAPE)
    label = torch.arange(4)
    image = module(noise(label, module.latent_size), label)
    assert image.shape == (4, 3, 16, 16)
    assert image.abs().max() <= 1
    image.sum().backward()


@pytest.mark.parametrize("member", members(DiscriminatorNetwork))
def test_every_discriminator(member, own_package):
    module = build_discriminator(configured(member, f"{own_package}:Discriminator"), **SHAPE)
    logit = module(torch.randn(4, 3, 16, 16), torch.arange(4))
    assert logit.shape == (4,)
    logit.sum().backward()


@pytest.mark.parametrize("size", [8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_dcgan_sizes(size, channels):
    shape = {"size": size, "channels": channels, "classes": 3}
    generator = build_generator(DcganGenerator(width=4, latent_size=8), **shape)
    discriminator = build_discriminator(DcganDiscriminator(width=4), **shape)
    label = torch.tensor([0, 1, 2])
    image = generator(noise(label, 8), label)
    assert image.shape == (3, channels, size, size)
    assert discriminator(image, label).shape == (3,)


@pytest.mark.parametrize("size", [4, 7])
def test_dcgan_refuses_smaller_images_and_names_the_key(size):
    with pytest.raises(ConfigError) as caught:
        build_generator(DcganGenerator(), size=size, channels=1, classes=2)
    assert caught.value.where == "data.size"
    assert "8 or more" in caught.value.hint


def test_lenet_has_the_papers_layers_and_pads_where_nothing_would_be_left():
    module = build_classifier(LeNet5(), size=28, channels=1, classes=10)
    assert module.hidden1.in_features == 400
    assert sum(p.numel() for p in module.parameters()) == 61_706
    sizes = {size: LeNet5().needs(size) for size in range(8, 257)}
    assert set(sizes.values()) == {""}
    for size, pooled in ((8, 2), (11, 2), (12, 1), (13, 1), (14, 1), (16, 2)):
        module = build_classifier(LeNet5(), size=size, channels=1, classes=10)
        assert module.hidden1.in_features == 16 * pooled**2, size


@pytest.mark.parametrize("blocks", [1, 3])
def test_resnet_depth_is_the_papers(blocks):
    module = build_classifier(SmallResNet(blocks=blocks), size=32, channels=3, classes=10)
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convs) + 1 == 6 * blocks + 2
    assert module.features(torch.zeros(2, 3, 32, 32)).shape == (2, 64)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("no_such_package:f", "cannot be imported"),
        ("own_networks:no_such", "cannot be imported"),
        ("own_networks:nothing", "not a torch.nn.Module"),
        ("own_networks:bare", "has no latent_size"),
    ],
)
def test_a_bad_custom_network_is_refused_by_name(own_package, build, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build_generator(Custom(build=build), **SHAPE)
    assert build in str(caught.value)


@dataclass
class Workers:
    world: int = 2

    def sum(self, tensor):
        return tensor


def test_a_users_network_is_given_the_replicas_it_asks_for(own_package):
    config, workers = Custom(build=f"{own_package}:normed"), Workers()
    module = build_generator(config, **SHAPE, replicas=workers)
    assert module.norm.replicas is workers
    assert "replicas" not in module.arguments
    assert build_generator(config, **SHAPE).norm.replicas.world == 1


@pytest.mark.parametrize("kind", ["torch", "alone"])
def test_batch_norm_over_one_workers_images_is_refused_where_there_are_several(own_package, kind):
    config = Custom(build=f"{own_package}:local", options={"kind": kind})
    build_discriminator(config, **SHAPE)
    with pytest.raises(ConfigError, match=r"norm is a BatchNorm.*2 workers") as caught:
        build_discriminator(config, **SHAPE, replicas=Workers())
    assert "ganlib.models.layers.BatchNorm" in caught.value.hint


def test_unknown_options_of_a_custom_network_are_named(own_package):
    config = Custom(build="own_networks:Generator", options={"wdith": 3})
    with pytest.raises(ConfigError, match="wdith"):
        build_generator(config, **SHAPE)


def test_the_label_changes_image_and_logit():
    torch.manual_seed(0)
    generator = build_generator(DcganGenerator(width=8), size=28, channels=1, classes=10).eval()
    discriminator = build_discriminator(
        DcganDiscriminator(width=8), size=28, channels=1, classes=10
    ).eval()
    z, a, b = noise(torch.arange(4), 64), torch.zeros(4).long(), torch.ones(4).long()
    assert not torch.equal(generator(z, a), generator(z, b))
    image = generator(z, a)
    assert not torch.equal(discriminator(image, a), discriminator(image, b))


def test_a_sample_does_not_depend_on_its_neighbours_in_evaluation():
    generator = build_generator(DcganGenerator(width=8), size=8, channels=1, classes=3)
    label = torch.arange(6) % 3
    generator(noise(label, 64), label)
    generator.eval()
    z = noise(torch.arange(6), 64)
    torch.testing.assert_close(generator(z, label)[2:3], generator(z[2:3], label[2:3]))


def test_equal_seeds_build_equal_players():
    def built():
        torch.manual_seed(3)
        return build_discriminator(DcganDiscriminator(), size=28, channels=1, classes=10)

    for a, b in zip(built().state_dict().values(), built().state_dict().values(), strict=True):
        assert torch.equal(a, b)


def _objectives(generator, discriminator, classifier, real, z, label):
    loss = adversarial.build(Hinge())

    def of_generator():
        return loss.generator(discriminator(generator(z, label), label), None).mean()

    def of_discriminator():
        fake = generator(z, label).detach()
        return loss.discriminator(discriminator(real, label), discriminator(fake, label)).mean()

    def of_classifier():
        return nn.functional.cross_entropy(classifier(real), label)

    return of_generator, of_discriminator, of_classifier


def turns(replicas, steps):
    """A few turns of both players in float64, the global batch sliced by rank."""
    torch.manual_seed(5)
    shape = {"size": 8, "channels": 1, "classes": 3}
    generator = build_generator(
        DcganGenerator(width=8, latent_size=8), **shape, replicas=replicas
    ).double()
    discriminator = build_discriminator(DcganDiscriminator(width=8), **shape).double()
    classifier = build_classifier(SmallResNet(width=4), **shape, replicas=replicas).double()
    players = (generator, discriminator, classifier)
    optimisers = [torch.optim.SGD(p.parameters(), 0.05) for p in players]
    gradients = [FlatGradients(p.parameters()) for p in players]
    for step in range(steps):
        batch = torch.Generator().manual_seed(step)
        real = torch.randn(8, 1, 8, 8, generator=batch, dtype=torch.float64)
        z = torch.randn(8, 8, generator=batch, dtype=torch.float64)
        label = torch.randint(3, (8,), generator=batch)
        real, z, label = (replicas.slice(x) for x in (real, z, label))
        objectives = _objectives(generator, discriminator, classifier, real, z, label)
        for flat, optimiser, objective in zip(gradients, optimisers, objectives, strict=True):
            flat.zero()
            (objective() / replicas.world).backward()
            flat.sum(replicas)
            optimiser.step()
    return {f"{i}.{k}": v for i, p in enumerate(players) for k, v in p.state_dict().items()}


def test_one_rank_is_two_ranks():
    """Weights, running statistics and singular vectors, to 1e-9 of each tensor's norm."""
    (one,) = on_ranks(1, turns, 10)
    first, second = on_ranks(2, turns, 10)
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), name
        assert (value - first[name]).norm() <= 1e-9 * value.norm(), name
