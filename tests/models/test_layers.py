"""Norms by name, batch norm over ranks, spectral norm, projection, the deviation of a batch."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from ganlib.config import gan_networks
from ganlib.determinism import FlatGradients
from ganlib.models import latent, norms
from ganlib.models.gan import conditioning
from ganlib.models.layers import (
    Alone,
    BatchNorm,
    Conv,
    MinibatchStddev,
    Projection,
    Score,
    SpectralNorm,
)
from ganlib.models.norms import absorbs, norm_layer, shifts, spectrally_normalised
from tests.ranks import on_ranks


class OneOfMany(Alone):
    """Takes the path of several ranks, in a world where every rank holds the same batch."""

    world = 2

    def sum(self, tensor):
        return tensor + tensor.flip(0)  # rows of ranks; backward adds both, as over ranks


def filled(norm):
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 1.5, len(norm.weight)))
        norm.bias.copy_(torch.linspace(-1, 1, len(norm.bias)))
    return norm


def test_batch_norm_keeps_its_digits_far_from_zero():
    x = 1000 + 0.1 * torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    one = BatchNorm(5)(x)
    torch.testing.assert_close(BatchNorm(5, replicas=OneOfMany())(x), one, rtol=0, atol=5e-3)


@pytest.mark.parametrize("shape", [(8, 5), (8, 5, 3, 4)])
@pytest.mark.parametrize("replicas", [Alone(), OneOfMany()])
def test_batch_norm_is_torchs_on_the_batch_of_all_ranks(shape, replicas):
    torch.manual_seed(0)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    theirs = filled(kind(5)).double()
    ours = filled(BatchNorm(5, replicas=replicas)).double()
    near = {"rtol": 1e-9, "atol": 1e-9}
    for _ in range(3):
        x = torch.randn(shape, dtype=torch.float64) * 2 + 3
        mine = x.clone().requires_grad_()
        all_ranks = torch.cat([x] * replicas.world).requires_grad_()
        y = ours(mine)
        whole = theirs(all_ranks)
        torch.testing.assert_close(y, whole[: len(x)], **near)
        y.sin().sum().backward()
        whole.sin().sum().backward()
        # Every rank's loss counts in each sample's gradient, as the sum's backward adds them.
        torch.testing.assert_close(mine.grad, all_ranks.grad[: len(x)], **near)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, **near)
    torch.testing.assert_close(ours.running_var, theirs.running_var, **near)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), **near)


def batch_norm_run(replicas, dtype):
    torch.manual_seed(1)
    norm = filled(BatchNorm(6, replicas=replicas)).to(dtype)
    conv = nn.Conv2d(2, 6, 3, bias=False).to(dtype)
    gradients = FlatGradients([*norm.parameters(), *conv.parameters()])
    for _ in range(3):
        x = replicas.slice(torch.randn(8, 2, 7, 7, dtype=dtype) * 3 + 5).requires_grad_()
        y = norm(conv(x))
        # A penalty on the gradient, so that the sums are differentiated twice.
        (slope,) = torch.autograd.grad(torch.tanh(y).sum(), x, create_graph=True)
        gradients.zero()
        loss = torch.sin(y).mean() + slope.square().sum() / len(x)
        (loss / replicas.world).backward()
        gradients.sum(replicas)
    grads = [p.grad.clone() for p in [*norm.parameters(), *conv.parameters()]]
    buffers = [norm.running_mean, norm.running_var]
    return {"grads": grads, "buffers": buffers, "y": replicas.gather(y)}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_batch_norm_of_two_ranks_is_that_of_one_under_double_backward(dtype, tolerance):
    one, two = (on_ranks(world, batch_norm_run, dtype)[0] for world in (1, 2))
    pairs = zip(
        [*one["grads"], *one["buffers"], one["y"]],
        [*two["grads"], *two["buffers"], two["y"]],
        strict=True,
    )
    for a, b in pairs:
        assert (a - b).norm() <= tolerance * a.norm()


@pytest.mark.parametrize("replicas", [Alone(), OneOfMany()])
def test_batch_norm_under_autocast_keeps_type_and_float32_statistics(replicas):
    norm = BatchNorm(4, replicas=replicas)
    x = torch.randn(64, 4, 8, 8, dtype=torch.bfloat16) + 100
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x)
    assert y.dtype == torch.bfloat16
    assert norm.running_mean.dtype == torch.float32
    torch.testing.assert_close(norm.running_mean, 0.1 * x.float().mean((0, 2, 3)))
    torch.testing.assert_close(y.float().std((0, 2, 3)), torch.ones(4), rtol=0.02, atol=0)


def test_batch_norm_over_ranks_loses_no_digits_far_from_zero():
    """Sums around the running mean: 1e4 times the spread costs nothing once it is known."""
    torch.manual_seed(0)
    norm = BatchNorm(3, replicas=OneOfMany())
    norm.running_mean.fill_(1e4)
    y = norm(torch.randn(64, 3, 4, 4) + 1e4)
    torch.testing.assert_close(y.std((0, 2, 3)), torch.ones(3), rtol=2e-3, atol=0)


def power(norm, weight, steps):
    for _ in range(steps):
        normal = norm(weight)
    return normal


@pytest.mark.parametrize("shape", [(7,), (16, 3, 4, 4), (1, 50), (10, 200)])
def test_spectral_norm_reaches_the_largest_singular_value(shape):
    torch.manual_seed(0)
    weight = torch.randn(*shape) if len(shape) > 1 else torch.randn(7, 7)
    normal = power(SpectralNorm(weight), weight, 300)
    assert torch.linalg.matrix_norm(normal.flatten(1), ord=2) == pytest.approx(1, rel=1e-5)
    direction = weight / torch.linalg.matrix_norm(weight.flatten(1), ord=2)
    torch.testing.assert_close(normal, direction, rtol=1e-4, atol=1e-5)


def test_spectral_norm_takes_one_step_in_training_and_none_in_evaluation():
    torch.manual_seed(0)
    weight = torch.randn(20, 30)
    norm = SpectralNorm(weight, warm_up=0)
    before = norm.left.clone()
    norm.eval()
    assert torch.equal(norm(weight), norm(weight))
    assert torch.equal(norm.left, before)
    norm.train()
    norm(weight)
    right = nn.functional.normalize(weight.T @ before, dim=0)
    torch.testing.assert_close(norm.left, nn.functional.normalize(weight @ right, dim=0))


def test_the_gradient_of_spectral_norm_is_equation_12():
    """dV/dW = (g - (g : V) u v^T) / sigma for a linear functional g of V = W / sigma."""
    torch.manual_seed(0)
    weight = torch.randn(6, 9, dtype=torch.float64).requires_grad_()
    norm = SpectralNorm(weight).double()
    power(norm, weight.detach(), 500)
    g = torch.randn(6, 9, dtype=torch.float64)
    (norm(weight) * g).sum().backward()
    u, s, v = torch.linalg.svd(weight.detach())
    normal = weight.detach() / s[0]
    expected = (g - (g * normal).sum() * torch.outer(u[:, 0], v[0])) / s[0]
    torch.testing.assert_close(weight.grad, expected, rtol=1e-6, atol=1e-8)


def test_spectral_norm_under_double_backward():
    torch.manual_seed(0)
    norm = SpectralNorm(torch.randn(4, 5)).double().eval()
    # Constants to autograd: compare with fixed singular vectors, not with numeric differences.
    weight = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    right = nn.functional.normalize(weight.detach().T @ norm.left, dim=0)
    left = nn.functional.normalize(weight.detach() @ right, dim=0)

    def slope_norm(normal):
        (grad,) = torch.autograd.grad(torch.tanh(normal).sum(), weight, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), weight)[0]

    torch.testing.assert_close(
        slope_norm(norm(weight)), slope_norm(weight / (left @ weight @ right))
    )


def test_two_forwards_before_one_backward():
    conv = Conv(1, 4, 3, spectral=True)
    real, fake = torch.randn(2, 1, 5, 5), torch.randn(2, 1, 5, 5)
    (conv(real).sum() - conv(fake).sum()).backward()
    assert conv.weight.grad.isfinite().all()


def test_spectral_norm_is_not_rounded_by_autocast():
    torch.manual_seed(0)
    weight = torch.randn(8, 8)
    norm = SpectralNorm(weight).eval()
    with torch.autocast("cpu", torch.bfloat16):
        inside = norm(weight)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, norm(weight))


def test_projection_is_its_formula_and_its_two_terms_have_one_scale():
    """Equation 3 by hand; each of w and v has singular value one, whatever the raw weights are."""
    torch.manual_seed(0)
    head = Projection(40, 10, spectral=True)
    with torch.no_grad():
        head.weight.mul_(100)
        head.embedding.mul_(0.01)
        head.bias.fill_(0.5)
    for _ in range(300):
        head(torch.zeros(1, 40), torch.zeros(1, dtype=torch.int64))
    head.eval()
    phi, label = torch.randn(6, 40), torch.tensor([0, 9, 3, 3, 7, 1])
    w = head.weight[0] / head.weight.norm()
    v = head.embedding / torch.linalg.matrix_norm(head.embedding, ord=2)
    expected = phi @ w + (v[label] * phi).sum(1) + 0.5
    torch.testing.assert_close(head(phi, label), expected, rtol=1e-4, atol=1e-5)
    # Neither term may drown the other: a row of v is no longer than w, and no less than 1/sqrt(K).
    row_K = v.norm(dim=1)
    assert row_K.max() <= 1 + 1e-6
    assert row_K.square().mean() >= 1 / 10 - 1e-6


def test_projection_without_spectral_norm_and_in_bfloat16():
    head = Projection(5, 3, spectral=False)
    phi = torch.randn(4, 5)
    label = torch.tensor([0, 1, 2, 0])
    expected = phi @ head.weight[0] + (head.embedding[label] * phi).sum(1)
    torch.testing.assert_close(head(phi, label), expected)
    assert head(phi.bfloat16(), label).dtype == torch.float32


def test_packs_project_on_the_mean_of_their_classes():
    torch.manual_seed(0)
    head = Projection(6, 5, spectral=True).eval()
    phi, label = torch.randn(3, 6), torch.tensor([[0, 4, 4], [1, 2, 3], [2, 2, 2]])
    alone = [head(phi, label[:, i]) for i in range(3)]
    torch.testing.assert_close(head(phi, label), sum(alone) / 3)
    torch.testing.assert_close(head(phi, label)[2], head(phi, label[:, 0])[2])


@pytest.mark.parametrize("spectral", [True, False])
def test_score_is_linear_and_reads_no_label(spectral):
    head = Score(5, spectral=spectral)
    with torch.no_grad():
        head.bias.fill_(0.5)
    phi = torch.randn(4, 5)
    w = head.weight[0] / (head.weight.norm() if spectral else 1)
    torch.testing.assert_close(head(phi, torch.zeros(4).long()), phi @ w + 0.5)
    assert head(phi.bfloat16(), None).dtype == torch.float32


def test_the_class_stands_beside_the_image_as_planes_and_a_packs_as_their_mean():
    entrance = conditioning.Entrance("concatenation", 2, 3)
    image = torch.randn(2, 2, 4, 4)
    x = entrance(image, torch.tensor([2, 0]))
    assert entrance.channels == x.shape[1] == 5
    assert torch.equal(x[:, :2], image)
    assert x[:, 2:, 1, 3].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert (x[:, 2:] == x[:, 2:, :1, :1]).all()
    packed = entrance(image, torch.tensor([[2, 0], [1, 1]]))
    assert packed[:, 2:, 0, 0].tolist() == [[0.5, 0, 0.5], [0, 1, 0]]
    vector = entrance(torch.randn(2, 2), torch.tensor([[2, 0], [1, 1]]))
    assert vector[:, 2:].tolist() == [[0.5, 0, 0.5], [0, 1, 0]]
    for none in ("projection", "none"):
        assert conditioning.Entrance(none, 2, 3)(image, None) is image


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 2, 3)])
def test_minibatch_deviation_by_hand(shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    y = MinibatchStddev(3)(x)
    assert y.shape == (6, 6, *shape[2:])
    assert torch.equal(y[:, :5], x)
    for group in (slice(0, 3), slice(3, 6)):
        expected = x[group].std(0, correction=0).mean()
        torch.testing.assert_close(y[group, 5], expected.expand_as(y[group, 5]))
        scaled = MinibatchStddev(3, scale=7.0)(x)[group, 5]
        torch.testing.assert_close(scaled, 7 * y[group, 5])


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 2, 3)])
def test_the_deviation_of_a_player_is_as_steep_as_the_features_at_most(shape):
    """Its plane over a group is no longer than all that the group's samples differ by."""
    torch.manual_seed(0)
    end = conditioning.deviation(6, 5, lambda inputs, outputs: nn.Identity(), slope=1.0)
    for x in (torch.randn(shape), torch.randn(6, *[1] * (len(shape) - 1)).expand(shape)):
        plane = end(x.contiguous())[:, 5]
        whole = (x - x.mean(0)).norm()
        assert 0.8 * whole < plane.norm() <= 1.001 * whole


def test_minibatch_deviation_of_a_share_is_that_of_the_batch():
    x = torch.randn(8, 3, 2, 2)
    layer = MinibatchStddev(4)
    assert torch.equal(layer(x)[4:], layer(x[4:]))
    with pytest.raises(ValueError, match="8 samples are not a multiple of groups of 3"):
        MinibatchStddev(3)(x)


def test_minibatch_deviation_of_equal_samples_has_a_gradient_and_low_precision_keeps_its_type():
    x = torch.ones(4, 3, requires_grad=True)
    y = MinibatchStddev(4)(x)
    assert y[:, 3].max() < 1e-3
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert x.grad.isfinite().all()
    spread = torch.tensor([1000.0, 1001.0]).view(2, 1).bfloat16()
    assert MinibatchStddev(2)(spread).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5, 5)])
def test_norms_by_name_are_torchs(shape):
    torch.manual_seed(0)
    x = torch.randn(shape) * 3 + 1
    near = {"rtol": 1e-4, "atol": 1e-5}
    layer = norm_layer("layer", 6, replicas=None)(x)
    torch.testing.assert_close(layer, nn.functional.layer_norm(x, x.shape[1:]), **near)
    if len(shape) == 4:
        instance = norm_layer("instance", 6, replicas=None)(x)
        torch.testing.assert_close(instance, nn.functional.instance_norm(x), **near)
    batch = norm_layer("batch", 6, replicas=OneOfMany(), momentum=0.3)
    assert (batch.replicas.world, batch.momentum) == (2, 0.3)
    for name in ("none", "spectral"):
        assert torch.equal(norm_layer(name, 6, replicas=None)(x), x)
    for name in get_args(norms.Norm):
        parameters = list(norm_layer(name, 6, replicas=None).parameters())
        assert [p.shape for p in parameters] == [(6,), (6,)] * shifts(name)


@pytest.mark.parametrize("name", get_args(norms.Norm))
def test_a_bias_is_idle_before_norms_that_absorb_it(name):
    torch.manual_seed(0)
    x_NCHW, bias_C = torch.randn(4, 6, 5, 5), torch.randn(6)
    norm = norm_layer(name, 6, replicas=None)
    same = torch.allclose(norm(x_NCHW), norm(x_NCHW + bias_C.view(-1, 1, 1)), atol=1e-4)
    assert same == absorbs(name)


def test_batch_norms_momentum_is_the_weight_of_the_newest_batch():
    batch = norm_layer("batch", 2, replicas=None, momentum=0.3)
    batch(torch.tensor([[10.0, -10.0], [10.0, -10.0]]))
    torch.testing.assert_close(batch.running_mean, torch.tensor([3.0, -3.0]))
    torch.testing.assert_close(batch.running_var, torch.tensor([0.7, 0.7]))


@pytest.mark.parametrize(
    "layer", [nn.Linear(6, 4), nn.Conv2d(6, 4, 3), nn.ConvTranspose2d(6, 4, 4, 2, 1)]
)
def test_layers_see_their_weight_over_its_largest_singular_value(layer):
    """Rows are outputs: 4 of them, though a transposed convolution stores them second."""
    torch.manual_seed(0)
    raw = layer.weight.detach().clone()
    transposed = isinstance(layer, nn.ConvTranspose2d)
    spectrally_normalised(layer)
    for _ in range(300):
        seen = layer.weight
    matrix = (raw.transpose(0, 1) if transposed else raw).flatten(1)
    assert matrix.shape[0] == 4
    torch.testing.assert_close(seen, raw / torch.linalg.matrix_norm(matrix, ord=2))
    (layer(torch.randn(2, 6, *[5] * (raw.ndim - 2))) ** 2).sum().backward()
    assert layer.parametrizations.weight.original.grad.abs().sum() > 0


def test_names_are_those_of_the_configuration():
    """The networks' sources travel without it, so each side has its own list."""
    assert get_args(norms.Norm) == get_args(gan_networks.Norm)
    field = gan_networks.DcganGenerator.model_fields
    assert get_args(latent.Latent) == get_args(field["latent"].annotation)
    assert get_args(conditioning.GeneratorConditioning) == get_args(
        field["conditioning"].annotation
    )
    field = gan_networks.DcganDiscriminator.model_fields
    names = get_args(conditioning.DiscriminatorConditioning)
    assert names == get_args(field["conditioning"].annotation)
