"""Fully connected players of many seeds at once: one network whose weights have a seed's axis.

S seeds, N samples, I inputs, O outputs, F features, P pieces, Z latent, D dimensions of a point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.bench.collapse.methods import Player

Draws = Sequence[torch.Generator]
"""One for each seed, so that a seed's weights are the same whatever is trained beside it."""


class Linear(nn.Module):
    """x_SNI -> x_SNO, each seed by weights of its own.

    Weights are from N(0, std), or from N(0, 2 / I) (He et al. 2015) where `std` is 0.
    """

    def __init__(
        self, inputs: int, outputs: int, draws: Draws, *, std: float, bias: bool = True
    ) -> None:
        super().__init__()
        scale = std or math.sqrt(2 / inputs)
        drawn = [scale * torch.randn(inputs, outputs, generator=draw) for draw in draws]
        self.weight_SIO = nn.Parameter(torch.stack(drawn))
        self.bias_S1O = nn.Parameter(torch.zeros(len(draws), 1, outputs)) if bias else None

    def forward(self, x_SNI: Tensor) -> Tensor:
        if self.bias_S1O is None:
            return torch.bmm(x_SNI, self.weight_SIO)
        return torch.baddbmm(self.bias_S1O, x_SNI, self.weight_SIO)


class BatchNorm(nn.Module):
    """Ioffe and Szegedy 2015, each seed over its own samples."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, seeds: int, features: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(seeds * features))
        self.bias = nn.Parameter(torch.zeros(seeds * features))
        self.register_buffer("running_mean", torch.zeros(seeds * features))
        self.register_buffer("running_var", torch.ones(seeds * features))

    def forward(self, x_SNF: Tensor) -> Tensor:
        seeds, count, features = x_SNF.shape
        x_NC = F.batch_norm(
            x_SNF.transpose(0, 1).reshape(count, seeds * features),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
        )
        return x_NC.view(count, seeds, features).transpose(0, 1)


class Hidden(nn.Module):
    """One hidden layer: linear, norm, activation."""

    def __init__(self, inputs: int, width: int, player: Player, draws: Draws) -> None:
        super().__init__()
        self.activation = player.activation
        self.pieces = player.pieces
        self.width = width
        normed = player.norm == "batch"
        self.linear = Linear(
            inputs, width * self.pieces, draws, std=player.initial_std, bias=not normed
        )
        self.norm = BatchNorm(len(draws), width * self.pieces) if normed else nn.Identity()

    def forward(self, x_SNI: Tensor) -> Tensor:
        x_SNF: Tensor = self.norm(self.linear(x_SNI))
        match self.activation:
            case "relu":
                return F.relu(x_SNF)
            case "leaky_relu":
                return F.leaky_relu(x_SNF, 0.2)
            case "maxout":
                return x_SNF.view(*x_SNF.shape[:2], self.pieces, self.width).amax(2)
            case _:
                assert_never(self.activation)


class Generator(nn.Module):
    """z_SNZ -> point_SND."""

    def __init__(self, player: Player, latent: int, draws: Draws) -> None:
        super().__init__()
        self.body, features = _body(latent, player, draws)
        self.finish = Linear(features, 2, draws, std=player.initial_std or features**-0.5)

    def forward(self, z_SNZ: Tensor) -> Tensor:
        point_SND: Tensor = self.finish(self.body(z_SNZ))
        return point_SND


class Discriminator(nn.Module):
    """Points to logits, a pack of points (side by side, so D is 2 for each) to one."""

    def __init__(self, player: Player, packing: int, group: int, draws: Draws) -> None:
        """`group` is minibatch standard deviation's (Karras et al. 2018, section 3), 0 without."""
        super().__init__()
        self.group = group
        inputs = 2 * packing
        self.waves = player.waves
        self.body, features = _body(inputs * (1 + 2 * len(self.waves)), player, draws)
        self.finish = Linear(
            features + bool(group), 1, draws, std=player.initial_std or features**-0.5
        )

    def forward(self, point_SND: Tensor, _label: Tensor | None = None) -> Tensor:
        """-> logit_SN; there are no labels, but other discriminators are called with some."""
        x_SNF: Tensor = self.body(waved(point_SND, self.waves))
        if self.group:
            x_SNF = torch.cat([x_SNF, _deviation(x_SNF, self.group)], 2)
        logit_SN: Tensor = self.finish(x_SNF).squeeze(2)
        return logit_SN


def waved(point_SND: Tensor, waves: Sequence[float]) -> Tensor:
    """Beside each coordinate its sine and cosine at these angular frequencies (Tancik et al. 2020,
    section 4, along the axes): a network of coordinates alone is slow to learn what is narrow.
    """
    if not waves:
        return point_SND
    phase_SNF = (point_SND[..., None] * point_SND.new_tensor(waves)).flatten(2)
    return torch.cat([point_SND, phase_SNF.sin(), phase_SNF.cos()], 2)


def _body(inputs: int, player: Player, draws: Draws) -> tuple[nn.Sequential, int]:
    layers = []
    for width in player.widths:
        layers.append(Hidden(inputs, width, player, draws))
        inputs = width
    return nn.Sequential(*layers), inputs


def _deviation(x_SNF: Tensor, group: int) -> Tensor:
    """-> (S, N, 1): of groups of samples that follow each other, averaged over features."""
    seeds, _, features = x_SNF.shape
    groups = x_SNF.view(seeds, -1, group, features)
    spread = (groups.var(2, correction=0) + 1e-8).sqrt().mean(2)
    return spread.repeat_interleave(group, 1)[:, :, None]
