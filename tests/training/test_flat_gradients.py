"""With several ranks a player's gradients are one buffer: summed once, where it lies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganlib.config import Adam, GanConfig
from ganlib.determinism import FlatGradients, Replicas
from ganlib.training.optimiser import Optimiser
from tests.ranks import on_ranks
from tests.training.test_gan_parts import PARTS, built, config_of, step


class Copies(TorchFunctionMode):
    """How often tensors are put side by side or taken into another."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += getattr(func, "__name__", "") in ("cat", "copy_", "clone", "_foreach_copy_")
        return func(*args, **kwargs or {})


class Sums:
    """Takes the place of `dist.all_reduce`, and remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[Tensor] = []

    def __call__(self, tensor: Tensor) -> None:
        self.given.append(tensor)
        tensor *= 2  # as if the other of two ranks had the same


def network() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Conv2d(4, 3, 2))
    module.register_parameter("idle", nn.Parameter(torch.ones(5)))
    return module.double().to(memory_format=torch.channels_last)


def losses(module: nn.Module, parts: int) -> list[Tensor]:
    """Of so many parts of a batch, with a penalty on the slope."""
    generator = torch.Generator().manual_seed(1)
    image_NCHW = torch.randn(8, 2, 5, 5, generator=generator, dtype=torch.float64)
    found = []
    for part_NCHW in image_NCHW.requires_grad_().chunk(parts):
        logit = module(part_NCHW).square().sum()
        (slope,) = torch.autograd.grad(logit, part_NCHW, create_graph=True)
        found.append((logit + slope.square().sum()) / parts / len(part_NCHW))
    return found


def test_gradients_are_views_into_one_buffer_in_their_parameters_layout() -> None:
    module = network()
    flat = FlatGradients(module.parameters())
    flat.zero()
    sum(losses(module, 1)).backward()  # type: ignore[union-attr]
    found = {name: p.grad for name, p in module.named_parameters()}
    assert sum(p.numel() for p in module.parameters()) == flat.flat.numel()
    for name, parameter in module.named_parameters():
        grad = found[name]
        assert grad is not None
        assert grad.untyped_storage().data_ptr() == flat.flat.untyped_storage().data_ptr()
        assert grad.stride() == parameter.stride()
    module.zero_grad(set_to_none=True)
    sum(losses(module, 1)).backward()  # type: ignore[union-attr]
    for name, parameter in module.named_parameters():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert torch.equal(found[name], expected), name  # type: ignore[arg-type]
    assert module.idle.grad is None


@pytest.mark.parametrize("parts", [1, 4])
def test_a_step_sums_once_and_copies_nothing(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    sums = Sums()
    monkeypatch.setattr(dist, "all_reduce", sums)
    module, alone = network(), network()
    ours, theirs = Optimiser(module, Adam(beta1=0.5)), Optimiser(alone, Adam(beta1=0.5))
    for _ in range(3):
        loss = losses(module, parts)
        with Copies() as copies:
            ours.step(loss, 1.0, Replicas(0, 2))
        assert copies.count == 0
        theirs.step(losses(alone, parts), 1.0, Replicas())
        torch.testing.assert_close(ours.slope(), theirs.slope(), rtol=1e-12, atol=0)
    assert len(sums.given) == 3
    assert len({tensor.data_ptr() for tensor in sums.given}) == 1
    for name, parameter in alone.named_parameters():
        torch.testing.assert_close(module.get_parameter(name), parameter, rtol=1e-12, atol=0)
    assert not alone.idle.grad.any()


def test_parameters_that_want_none_have_none_and_types_do_not_mix() -> None:
    module = network()
    module.idle.requires_grad_(False)
    flat = FlatGradients(module.parameters())
    flat.zero()
    assert module.idle.grad is None
    assert FlatGradients([]).flat.numel() == 0
    with pytest.raises(ValueError, match="2 types or devices"):
        FlatGradients([nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1).double())])


def reduced(replicas: Replicas, configs: list[dict[str, Any]]) -> list[list[int]]:
    """How many numbers each sum of a step over ranks has that is not one of a few statistics."""
    found = []
    for config in configs:
        task = built(GanConfig.model_validate(config), replicas)
        step(task, 0, replicas)
        real, sizes = dist.all_reduce, list[int]()

        def counted(tensor: Tensor, real: Any = real, sizes: list[int] = sizes) -> None:
            sizes.append(tensor.numel())
            real(tensor)

        dist.all_reduce = counted
        try:
            step(task, 1, replicas)
        finally:
            dist.all_reduce = real
        found.append([size for size in sizes if size > 100])
    return found


def test_each_player_is_summed_once_a_step_whatever_its_losses_are() -> None:
    names = ["loss hinge", "lazy r1", "r3gan's", "packs"]
    assert set(names) <= set(PARTS)
    configs = [config_of(name) for name in names]
    told = on_ranks(2, reduced, [config.model_dump() for config in configs])[0]
    for config, sizes in zip(configs, told, strict=True):
        task = built(config, Replicas())
        generator, discriminator = (
            sum(p.numel() for p in module.parameters())
            for module in (task.generator, task.discriminator)
        )
        assert sizes == [discriminator] * config.discriminator.steps + [generator]
