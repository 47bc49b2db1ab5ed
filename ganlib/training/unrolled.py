"""The discriminator as it would be some steps from now, as a function of the generator.

N samples of this rank, C channels, H W pixels
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganlib.config import Adam
from ganlib.determinism import Replicas
from ganlib.training.optimiser import Optimiser

Forward = Callable[[Tensor, Tensor], Tensor]
"""(image_NCHW, label_N) -> logit_N."""


@dataclass(frozen=True)
class Moments:
    """Adam's two running means and the number of steps, of one parameter."""

    first: Tensor
    second: Tensor
    steps: Tensor


def look_ahead(
    discriminator: nn.Module,
    optimiser: Optimiser,
    loss: Callable[[Forward], Tensor],
    *,
    steps: int,
    factor: float,
    replicas: Replicas,
    before_each: Callable[[], None],
) -> Forward:
    """Metz et al. 2017, eq. 9-10: the discriminator `steps` steps on, as a function.

    The steps are those its own Adam would take from where it is, down the mean over ranks of
    `loss(forward)`, at `factor` times its learning rate; the result is differentiable through all
    of them in whatever `loss` is made of. The discriminator itself, its buffers and its optimiser
    are left as they are. `before_each` is called before each of the discriminators on the way is
    looked at. Where Adam divides by the root of the second mean, 1e-16 is added to that mean, since
    a root has no slope at zero: what a root of 1e-8 is, the epsilon beside it.
    """
    adam, rate = optimiser.config, optimiser.config.learning_rate * factor
    if not isinstance(adam, Adam):
        raise TypeError(f"only Adam can be looked ahead of, not {adam.kind}")
    fixed = {name: p.detach() for name, p in discriminator.named_parameters()}
    weights = {name: fixed.pop(name).clone().requires_grad_() for name in optimiser.named}
    buffers = {name: buffer.clone() for name, buffer in discriminator.named_buffers()}
    known = _moments(optimiser)

    def forward(image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        logit_N: Tensor = functional_call(
            discriminator, (weights, fixed, buffers), (image_NCHW, label_N)
        )
        return logit_N

    for _ in range(steps):
        before_each()
        names = list(weights)
        slopes = torch.autograd.grad(
            loss(forward),
            [weights[name] for name in names],
            create_graph=True,
            materialize_grads=True,
        )
        moved = {}
        for name, slope in zip(names, _over_ranks(slopes, replicas), strict=True):
            moved[name], known[name] = _adam(weights[name], slope, known.get(name), adam, rate)
        weights = moved
    before_each()
    return forward


def _moments(optimiser: Optimiser) -> dict[str, Moments]:
    """Copies, so that the optimiser's own steps in place leave the graph alone."""
    state = {name: tensor.clone() for name, tensor in optimiser.state_dict().items()}
    return {
        name: Moments(state[f"exp_avg.{name}"], state[f"exp_avg_sq.{name}"], state[f"step.{name}"])
        for name in optimiser.named
        if f"step.{name}" in state
    }


def _over_ranks(slopes: tuple[Tensor, ...], replicas: Replicas) -> list[Tensor]:
    """The mean of each over ranks, by one differentiable sum."""
    if replicas.world == 1:
        return list(slopes)
    flat = replicas.sum(torch.cat([slope.reshape(-1) for slope in slopes])) / replicas.world
    pieces = torch.split(flat, [slope.numel() for slope in slopes])
    return [piece.view_as(slope) for piece, slope in zip(pieces, slopes, strict=True)]


def _adam(
    weight: Tensor, slope: Tensor, known: Moments | None, adam: Adam, rate: float
) -> tuple[Tensor, Moments]:
    """Kingma and Ba 2015, algorithm 1, with decoupled decay."""
    zero = torch.zeros_like(weight)
    before = known or Moments(zero, zero, torch.zeros((), device=weight.device))
    steps = before.steps.to(weight.dtype) + 1
    first = adam.beta1 * before.first + (1 - adam.beta1) * slope
    second = adam.beta2 * before.second + (1 - adam.beta2) * slope * slope
    root = (second / (1 - adam.beta2**steps) + 1e-16).sqrt() + 1e-8
    moved = weight * (1 - rate * adam.weight_decay) - rate * first / (1 - adam.beta1**steps) / root
    return moved, Moments(first, second, steps)
