"""Every generator and discriminator with every norm, conditioning and packing it allows.

The tables are derived from the unions, so a new member is in them the day it is added.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.overrides import TorchFunctionMode

from ganlib.config import (
    Custom,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorNetwork,
    GeneratorNetwork,
    MlpDiscriminator,
    MlpGenerator,
    R3ganDiscriminator,
    R3ganGenerator,
    SnResNetDiscriminator,
    SnResNetGenerator,
)
from ganlib.config.gan_networks import Norm
from ganlib.determinism import FlatGradients
from ganlib.models import build_discriminator, build_generator, load_model, noise, save_model
from ganlib.models.layers import BatchNorm, Conv
from ganlib.models.norms import SpectralNorm
from tests.ranks import on_ranks

SMALL = {
    "dcgan": {"width": 4},
    "mlp": {"widths": (16, 12)},
    "sn_resnet": {"width": 4, "max_width": 8},
    "r3gan": {"width": 8, "max_width": 16, "group_size": 8},
}
SHAPE = {"size": 8, "channels": 3, "classes": 4}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def players(union):
    return [member for member in get_args(get_args(union)[0]) if member is not Custom]


def small(member, **fields):
    return member(**SMALL.get(member.model_fields["kind"].default, {}), **fields)


def variants(union):
    """Every norm and every conditioning that the configuration does not refuse."""
    for member in players(union):
        for norm in get_args(Norm):
            for conditioning in get_args(member.model_fields["conditioning"].annotation):
                try:
                    yield small(member, norm=norm, conditioning=conditioning)
                except ValidationError:
                    continue


GENERATORS = list(variants(GeneratorNetwork))
DISCRIMINATORS = list(variants(DiscriminatorNetwork))


def named(network):
    return f"{network.kind}-{network.norm}-{network.conditioning}"


def awake(module):
    """Layers that start at zero shut off the gradient of what is before them: no longer."""
    for parameter in module.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return module


def generator(network, seed=0, **changes):
    torch.manual_seed(seed)
    return awake(build_generator(network, **SHAPE | changes))


def discriminator(network, seed=0, packing=1, **changes):
    torch.manual_seed(seed)
    return awake(build_discriminator(network, **SHAPE | changes, packing=packing))


def labels(count, packing=1, classes=4):
    label = torch.arange(count * packing) % classes
    return label if packing == 1 else label.view(count, packing)


def assert_every_parameter_learns(module):
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_tables_hold_every_member_and_leave_out_what_is_refused():
    kinds = {"dcgan", "mlp", "sn_resnet", "r3gan"}
    for table in (GENERATORS, DISCRIMINATORS):
        assert {network.kind for network in table} >= kinds
        found = {(network.kind, network.norm) for network in table}
        missing = {(k, n) for k in kinds for n in get_args(Norm)} - found
        norms = [n for n in get_args(Norm) if n != "none"]
        assert missing == {("mlp", "instance"), *(("r3gan", n) for n in norms)}


@pytest.mark.parametrize("network", GENERATORS, ids=named)
def test_generators(network):
    module = generator(network)
    z, label = torch.randn(8, module.latent_size), labels(8)
    image = module(z, label)
    assert image.shape == (8, 3, 8, 8)
    assert image.isfinite().all()
    assert image.abs().max() <= 1
    (image * torch.randn_like(image)).sum().backward()
    assert_every_parameter_learns(module)
    module.eval()
    same = torch.equal(module(z, label), module(z, label.flip(0)))
    assert same == (network.conditioning == "none")


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("network", DISCRIMINATORS, ids=named)
def test_discriminators(network, packing):
    network = network.model_copy(update={"minibatch_stddev": 4 if packing == 1 else 0})
    module = discriminator(network, packing=packing)
    image, label = torch.randn(8, 3 * packing, 8, 8), labels(8, packing)
    logit = module(image, label)
    assert logit.shape == (8,)
    (logit * torch.randn(8)).sum().backward()
    assert_every_parameter_learns(module)
    module.eval()
    other = (label + 1) % 4
    same = torch.equal(module(image, label), module(image, other))
    assert same == (network.conditioning == "none")
    if packing > 1:  # a pack's classes are a mean: their order says nothing
        torch.testing.assert_close(module(image, label), module(image, label.flip(1)))


@pytest.mark.parametrize("size", [8, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 4])
def test_every_player_at_every_size(size, channels):
    shape = {"size": size, "channels": channels}
    for member in players(GeneratorNetwork):
        module = generator(small(member), **shape)
        with torch.no_grad():
            image = module(torch.randn(2, module.latent_size), labels(2))
        assert image.shape == (2, channels, size, size), member
    for member in players(DiscriminatorNetwork):
        with torch.no_grad():
            logit = discriminator(small(member), **shape)(image, labels(2))
        assert logit.shape == (2,), member


@pytest.mark.parametrize("member", chain(*map(players, (GeneratorNetwork, DiscriminatorNetwork))))
def test_every_player_is_built_for_256_pixels(member):
    build = generator if "latent" in member.model_fields else discriminator
    assert build(small(member), size=256).arguments["size"] == 256


def test_every_player_in_bfloat16_and_channels_last():
    """As training runs them: images and logits stay near those in float32, and weights learn."""
    for network in GENERATORS + DISCRIMINATORS:
        makes = hasattr(network, "latent")
        module = (generator if makes else discriminator)(network)
        module = module.to(memory_format=torch.channels_last)
        torch.manual_seed(1)
        x = torch.randn((8, 64) if makes else (8, 3, 8, 8))
        if not makes:
            x = x.to(memory_format=torch.channels_last)
        expected = copy.deepcopy(module)(x, labels(8))
        with torch.autocast("cpu", torch.bfloat16):
            found = module(x, labels(8))
        assert (found - expected).norm() < 0.05 * expected.norm(), named(network)
        found.float().square().sum().backward()
        assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize("packing", [1, 4])
def test_a_users_discriminator_is_given_the_channels_of_a_pack(packing, tmp_path, monkeypatch):
    (tmp_path / "packed_own.py").write_text(
        "from torch import nn\ndef build(size, channels, classes): return nn.Linear(channels, 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = build_discriminator(Custom(build="packed_own:build"), **SHAPE, packing=packing)
    assert module.in_features == 3 * packing


def slope_square(module, image, label):
    x = image.clone().requires_grad_()
    (slope,) = torch.autograd.grad(module(x, label).sum(), x, create_graph=True)
    return slope.square().sum()


@pytest.mark.parametrize("network", [n for n in DISCRIMINATORS if n.norm != "batch"], ids=named)
def test_double_backward_is_the_difference_of_single_ones(network):
    """Along one random direction of all weights, in float64; batch norm mixes the samples.

    Under spectral norm, autograd takes the singular vectors for constants, which they are not
    until the iteration has converged: there the gradient has to be there, and finite.
    """
    module = discriminator(network.model_copy(update={"minibatch_stddev": 2})).double().eval()
    image, label = torch.randn(4, 3, 8, 8, dtype=torch.float64), labels(4)
    slope_square(module, image, label).backward()
    weights = list(module.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in weights if p.ndim > 1)
    assert all(p.grad.abs().sum() > 0 for p in weights if p.ndim > 1)
    if network.norm == "spectral":
        return
    towards = [torch.randn_like(p) * p.detach().abs().mean() for p in weights]
    expected = sum(
        (p.grad * v).sum() for p, v in zip(weights, towards, strict=True) if p.grad is not None
    )
    values = []
    step = 1e-7
    for sign in (1, -2):
        with torch.no_grad():
            for p, v in zip(weights, towards, strict=True):
                p.add_(v, alpha=sign * step)
        values.append(slope_square(module, image, label).detach())
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected.item(), rel=1e-5)


def turns(replicas, steps):
    """A few turns in float64 of every member with every norm, the batch sliced by rank."""
    found = {}
    for network in GENERATORS + DISCRIMINATORS:
        if network.conditioning != type(network).model_fields["conditioning"].default:
            continue
        torch.manual_seed(3)
        makes = hasattr(network, "latent")
        if makes:
            module = build_generator(network, **SHAPE, replicas=replicas).double()
        else:
            deviating = network.model_copy(update={"minibatch_stddev": 2})
            module = build_discriminator(deviating, **SHAPE, replicas=replicas).double()
        awake(module)
        optimiser = torch.optim.SGD(module.parameters(), 0.002)
        gradients = FlatGradients(module.parameters())
        for step in range(steps):
            batch = torch.Generator().manual_seed(step)
            shape = (8, module.latent_size) if makes else (8, 3, 8, 8)
            x = torch.randn(shape, generator=batch, dtype=torch.float64)
            label = torch.randint(4, (8,), generator=batch)
            y = module(replicas.slice(x), replicas.slice(label))
            gradients.zero()
            ((torch.sin(3 * y) + y).mean() / replicas.world).backward()
            gradients.sum(replicas)
            optimiser.step()
        side = "generator" if makes else "discriminator"
        for key, value in module.state_dict().items():
            found[f"{side} {named(network)} {key}"] = value
    return found


def test_one_rank_is_two_ranks():
    (one,) = on_ranks(1, turns, 3)
    for two in on_ranks(2, turns, 3):
        assert two.keys() == one.keys()
        for name, value in one.items():
            assert (value - two[name]).norm() <= 1e-9 * value.norm(), name


COUNTS = [
    # The DCGAN of PyTorch's tutorial has no bias anywhere; ours has those of no norm after them.
    (
        DcganGenerator(width=64, latent_size=100, conditioning="none"),
        {"size": 64, "channels": 3},
        3_576_704 + 3,
    ),
    (
        DcganDiscriminator(width=64, norm="batch", conditioning="none"),
        {"size": 64, "channels": 3},
        2_765_568 + 64 + 1,
    ),
    # 100-256-512-1024-784 and 784-512-256-1 with biases, a scale and a shift per normed unit.
    (
        MlpGenerator(latent_size=100, conditioning="none"),
        {"size": 28, "channels": 1},
        101 * 256 + 257 * 512 + 513 * 1024 + 1025 * 784 + 2 * (256 + 512 + 1024),
    ),
    (
        MlpDiscriminator(conditioning="none"),
        {"size": 28, "channels": 1},
        785 * 512 + 513 * 256 + 257,
    ),
    # Table 4 of Miyato et al.: dense, three blocks of 256, norm, convolution; no idle bias.
    (
        SnResNetGenerator(width=256, max_width=256, latent_size=128, conditioning="none"),
        {"size": 32, "channels": 3},
        129 * 4096 + 3 * ((9 + 9 + 1) * 256 * 256 + 4 * 256) + 2 * 256 + (9 * 256 + 1) * 3,
    ),
    (
        SnResNetDiscriminator(
            width=128, max_width=128, smallest=8, plain_blocks=2, conditioning="none"
        ),
        {"size": 32, "channels": 3},
        (27 + 1 + 9 * 128 + 1 + 3 + 1) * 128  # on the image
        + ((9 + 9 + 1) * 128 + 3) * 128  # halving
        + 2 * (2 * 9 * 128 + 2) * 128
        + 129,
    ),
    (
        R3ganGenerator(width=16, max_width=16, latent_size=4, conditioning="none"),
        {"size": 8, "channels": 1},
        4 * 16 + 16 * 16 + 2 * (17 * 32 + (9 * 16 + 1) * 32 + 32 * 16) + 16,
    ),
    (
        R3ganDiscriminator(width=16, max_width=16, conditioning="none"),
        {"size": 8, "channels": 1, "bias": False},  # with the paper's relativistic loss
        16 + 2 * (17 * 32 + (9 * 16 + 1) * 32 + 32 * 16) + 16 * 16 + 16,
    ),
]


@pytest.mark.parametrize(("network", "shape", "count"), COUNTS, ids=lambda v: type(v).__name__)
def test_parameters_are_counted_by_hand(network, shape, count):
    build = build_generator if hasattr(network, "latent") else build_discriminator
    module = build(network, **shape, classes=10)
    assert sum(p.numel() for p in module.parameters()) == count


@pytest.mark.parametrize("network", DISCRIMINATORS, ids=named)
def test_a_loss_of_differences_alone_costs_the_last_bias_and_nothing_else(network):
    whole, less = (discriminator(network, bias=bias) for bias in (True, False))
    assert (whole.arguments["bias"], less.arguments["bias"]) == (True, False)
    assert whole.state_dict().keys() - less.state_dict().keys() == {"head.bias"}
    for name, tensor in less.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name]), name


def test_every_member_is_counted():
    members = {*players(GeneratorNetwork), *players(DiscriminatorNetwork)}
    assert {type(network) for network, _, _ in COUNTS} == members


def test_the_imagenet_table_of_the_residual_players():
    """Miyato et al., tables 5 and 6: 1024 channels at 4 pixels, 64 at 128, and back."""
    shape = {"size": 128, "channels": 3, "classes": 2}
    with torch.device("meta"):
        made = build_generator(SnResNetGenerator(width=64, max_width=1024), **shape)
        network = SnResNetDiscriminator(width=64, max_width=1024, norm="none")
        judging = build_discriminator(network, **shape)
    assert [block.conv1.out_channels for block in made.body] == [1024, 512, 256, 128, 64]
    outs = [block.conv2.out_channels for block in judging.body]
    assert outs == [64, 128, 256, 512, 1024, 1024]


def test_the_first_tutorials_players_are_those_of_torchs_own_layers():
    """256-512-1024 with LeakyReLU and a batch norm that keeps .7, and 512-256-1, layer by layer."""
    data = {"size": 28, "channels": 1, "classes": 10}
    network = MlpGenerator(latent_size=100, conditioning="none", batch_norm_momentum=0.3)
    ours = [build_generator(network, **data)]
    ours += [build_discriminator(MlpDiscriminator(conditioning="none"), **data)]
    layers, inputs = [], 100
    for width in (256, 512, 1024):
        layers += [nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.BatchNorm1d(width, momentum=0.3)]
        inputs = width
    made = nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh())
    judging = nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 512), nn.LeakyReLU(0.2)),
        *(nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)),
    )
    for mine, theirs in zip(ours, (made, judging), strict=True):
        state = theirs.state_dict()
        names = [name for name in state if "num_batches" not in name]
        values = mine.state_dict().values()
        theirs.load_state_dict(state | dict(zip(names, values, strict=True)))
    z, label = torch.randn(8, 100), labels(8)
    for _ in range(2):  # the second time, running statistics have moved
        image = ours[0](z, label)
        torch.testing.assert_close(image.flatten(1), made(z))
        torch.testing.assert_close(ours[1](image, label), judging(image)[:, 0])
    torch.testing.assert_close(ours[0].eval()(z, label).flatten(1), made.eval()(z))


class Calls(TorchFunctionMode):
    """The names of all torch functions that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.add(getattr(func, "__name__", str(func)))
        return func(*args, **kwargs or {})


def order_of(module, *inputs):
    """The layers with weights in the order they are called."""
    seen = []
    kinds = BatchNorm | Conv | nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    for layer in module.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(lambda layer, *_: seen.append(layer))
    module(*inputs)
    return seen


@pytest.mark.parametrize("size", [8, 32])
def test_dcgan_pools_nothing(size):
    made = generator(small(DcganGenerator), size=size)
    judging = discriminator(small(DcganDiscriminator), size=size)
    with Calls() as calls:
        judging(made(torch.randn(2, 64), labels(2)), labels(2))
    assert "conv2d" in calls.names
    assert not any("pool" in name or "interpolate" in name for name in calls.names)


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("kind", ["dcgan", "mlp"])
def test_no_batch_norm_at_the_generators_output_or_the_discriminators_input(kind, size):
    (of_images,) = (m for m in players(GeneratorNetwork) if m().kind == kind)
    (of_logits,) = (m for m in players(DiscriminatorNetwork) if m().kind == kind)
    image = torch.randn(4, 3, size, size)
    made = order_of(generator(small(of_images), size=size), torch.randn(4, 64), labels(4))
    judged = order_of(discriminator(small(of_logits, norm="batch"), size=size), image, labels(4))
    normed = [isinstance(layer, BatchNorm) for layer in made]
    assert normed == [False, True] * (len(made) // 2) + [False]
    normed = [isinstance(layer, BatchNorm) for layer in judged]
    assert normed == [False] + [False, True] * (len(judged) // 2)
    assert True in normed


@pytest.mark.parametrize("member", players(DiscriminatorNetwork))
@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_the_two_terms_of_the_projection_have_one_scale_at_the_start(member, norm):
    """Over phi of unit variance; neither drowns in the other, nor both in the loss's margin."""
    try:
        module = discriminator(member(norm=norm), size=28, channels=1, classes=10)
    except ValidationError:
        return
    head = module.head.eval()
    phi = torch.randn(4096, head.weight.shape[1])
    unconditional = phi @ head.weight_norm(head.weight)[0]
    label = torch.arange(4096) % 10
    of_class = (phi * head.embedding_norm(head.embedding)[label]).sum(1)
    assert 0.4 < (of_class.var() / unconditional.var()).item() < 2
    assert 0.2 < unconditional.std().item() < 5


def test_fix_up_starts_every_block_as_the_identity():
    """So at the first step only a block's last layer learns: the reason for `awake`."""
    torch.manual_seed(0)
    module = build_discriminator(small(R3ganDiscriminator), **SHAPE)
    image = torch.randn(4, 3, 8, 8)
    stem = module.begin(module.entrance(image, labels(4)))
    torch.testing.assert_close(module.body[0](stem), stem, rtol=0, atol=0)
    module(image, labels(4)).square().sum().backward()
    still = {name for name, p in module.named_parameters() if not p.grad.any()}
    assert still == {
        f"body.{block}.{layer}.{part}"
        for block in (0, 2)
        for layer in ("enter", "mix")
        for part in ("weight", "bias")
    }


@pytest.mark.parametrize("network", GENERATORS, ids=named)
def test_generators_are_copied_and_come_back_from_their_folder(network, tmp_path):
    network = network.model_copy(update={"latent": "uniform"})
    module = generator(network)
    seed, label = torch.arange(4), labels(4)
    module(noise(seed, 64, "uniform"), label)  # moves running statistics and singular vectors
    save_model(module, tmp_path, kind="generator", classes=list("abcd"), meta={})
    loaded = load_model(tmp_path).module
    assert (loaded.latent, loaded.latent_size) == ("uniform", 64)
    z = noise(seed, 64, "uniform")
    expected = module.eval()(z, label)
    assert torch.equal(loaded(z, label), expected)
    assert torch.equal(copy.deepcopy(module)(z, label), expected)
    again = tmp_path / "again"
    save_model(loaded, again, kind="generator", classes=list("abcd"), meta={})
    name = "network.json"
    assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


DEVIATING = [network.model_copy(update={"minibatch_stddev": 2}) for network in DISCRIMINATORS]


@pytest.mark.parametrize("network", GENERATORS + DISCRIMINATORS + DEVIATING, ids=named)
def test_spectral_norm_reaches_every_matrix(network):
    module = (generator if hasattr(network, "latent") else discriminator)(network)
    count = sum(isinstance(layer, SpectralNorm) for layer in module.modules())
    if network.norm != "spectral":
        assert count == 0
        return
    matrices = {n for n, p in module.named_parameters() if p.ndim > 1}
    matrices -= {n for n in matrices if hasattr(network, "latent") and n.startswith("embedding")}
    assert count == len(matrices)
