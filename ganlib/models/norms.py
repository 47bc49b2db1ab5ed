"""Normalisation by name: statistics that span the whole batch, an image, or the whole weight.

N samples, C channels, H W pixels, R rows and F columns of a weight. Imports torch alone.
"""

from __future__ import annotations

from typing import Literal, Protocol, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

Norm = Literal["none", "batch", "instance", "layer", "spectral"]


class Replicas(Protocol):
    """What a layer asks of data parallelism: its place, and a differentiable sum over ranks."""

    @property
    def rank(self) -> int: ...

    @property
    def world(self) -> int: ...

    def sum(self, tensor: Tensor) -> Tensor: ...


class Alone:
    """The only rank."""

    rank, world = 0, 1

    def sum(self, tensor: Tensor) -> Tensor:
        return tensor


class BatchNorm(nn.Module):
    """Ioffe and Szegedy 2015 over the batch of all ranks, which must be equally long on each.

    Works where SyncBatchNorm does not: on the CPU, in float64, under double backward. Statistics
    and running statistics are those of one rank with the whole batch; under autocast they are
    float32 while the output keeps the input's type.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, channels: int, *, replicas: Replicas | None = None, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.replicas: Replicas = Alone() if replicas is None else replicas
        self.momentum = momentum
        self.epsilon = 1e-5

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) or (N, C) -> the same."""
        if self.training and self.replicas.world > 1:
            return self._over_ranks(x_NCHW)
        return F.batch_norm(
            x_NCHW,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.epsilon,
        )

    def _over_ranks(self, x_NCHW: Tensor) -> Tensor:
        axes = [axis for axis in range(x_NCHW.ndim) if axis != 1]
        wide_NCHW = x_NCHW.to(self.running_mean.dtype)
        var_C, mean_C = torch.var_mean(wide_NCHW, axes, correction=0)
        # Each rank's moments in a row of their own: a sum of squares would lose digits (Chan et al.
        # 1983, eq. 1.5b, for equally many samples).
        own = torch.arange(self.replicas.world, device=mean_C.device) == self.replicas.rank
        moments_2C = torch.stack([mean_C, var_C])
        moments_W2C = self.replicas.sum(own[:, None, None].to(moments_2C.dtype) * moments_2C)
        mean_WC, var_WC = moments_W2C.unbind(1)
        mean_C = mean_WC.mean(0)
        var_C = var_WC.mean(0) + (mean_WC - mean_C).square().mean(0)

        count = x_NCHW.numel() // x_NCHW.shape[1] * self.replicas.world
        with torch.no_grad():
            self.running_mean.lerp_(mean_C, self.momentum)
            self.running_var.lerp_(var_C * (count / max(count - 1, 1)), self.momentum)

        scale_C = self.weight * torch.rsqrt(var_C + self.epsilon)
        shift_C = self.bias - mean_C * scale_C
        shape = [1, -1] + [1] * (x_NCHW.ndim - 2)
        out_NCHW: Tensor = wide_NCHW * scale_C.view(shape) + shift_C.view(shape)
        return out_NCHW.to(x_NCHW.dtype)


class SpectralNorm(nn.Module):
    """A weight over its largest singular value (Miyato et al. 2018, eq. 8).

    Axis `rows` counts the rows of the matrix, all others its columns. Each forward in training mode
    takes one step of the power iteration and stores `left`; in eval mode nothing is stored, so the
    result repeats. The singular vectors are constants to autograd (eq. 12), also under double
    backward. It sees weights alone, so equal weights on all ranks stay equal. Never in less than
    the weight's own precision.
    """

    left: Tensor
    kept: tuple[Tensor, Tensor] | None = None
    paced = False

    def __init__(self, weight: Tensor, *, warm_up: int = 15, rows: int = 0) -> None:
        super().__init__()
        self.rows = rows
        matrix_RF = weight.detach().transpose(0, rows).flatten(1)
        self.register_buffer("left", F.normalize(torch.randn(len(matrix_RF)).to(weight), dim=0))
        for _ in range(warm_up):
            self.left.copy_(_step(matrix_RF, self.left)[0])

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            matrix_RF = weight.transpose(0, self.rows).flatten(1)
            left_R, right_F = self._vectors(matrix_RF.detach())
            sigma = torch.dot(left_R, torch.mv(matrix_RF, right_F))
            normal: Tensor = weight / sigma
            return normal

    def _vectors(self, matrix_RF: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and self.kept is not None:
            return self.kept
        left_R, right_F = _step(matrix_RF, self.left)
        if self.training:
            with torch.no_grad():
                self.left.copy_(left_R)
            if self.paced:
                self.kept = left_R, right_F
        return left_R, right_F


class Spectra:
    """The spectral norms of some modules, stepping together: once after each `step()`.

    All forwards in between see the same vectors, so a batch may come in parts.
    """

    def __init__(self, *modules: nn.Module) -> None:
        layers = [layer for module in modules for layer in module.modules()]
        self.norms = [layer for layer in layers if isinstance(layer, SpectralNorm)]
        for norm in self.norms:
            norm.paced = True

    def step(self) -> None:
        for norm in self.norms:
            norm.kept = None


@torch.no_grad()
def _step(matrix_RF: Tensor, left_R: Tensor) -> tuple[Tensor, Tensor]:
    right_F = _of_length_one(torch.mv(matrix_RF.t(), left_R))
    return _of_length_one(torch.mv(matrix_RF, right_F)), right_F


def _of_length_one(vector_F: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(vector_F)
    return vector_F / length.clamp_min(1e-12)


def shifts(norm: Norm) -> bool:
    """Whether a layer of this name takes statistics, and scales and shifts what it gives."""
    return norm in ("batch", "instance", "layer")


def absorbs(norm: Norm) -> bool:
    """Whether a layer of this name takes each channel's mean away: a bias before it is then idle.

    Layer norm takes the mean of all channels, so what sets them apart goes through.
    """
    return norm in ("batch", "instance")


def norm_layer(
    norm: Norm, channels: int, *, replicas: Replicas | None, momentum: float = 0.1
) -> nn.Module:
    """(N, C) or (N, C, H, W) -> the same, with a learned scale and shift for each channel.

    Instance norm (Ulyanov et al. 2016) takes mean and variance of one channel of one image, layer
    norm (Ba et al. 2016) those of all channels and pixels of one image. `momentum` is the weight of
    the newest batch in batch norm's running statistics. Spectral norm acts on weights, so here it
    is the identity: see `spectrally_normalised`.
    """
    match norm:
        case "none" | "spectral":
            return nn.Identity()
        case "batch":
            return BatchNorm(channels, replicas=replicas, momentum=momentum)
        case "instance":
            return nn.GroupNorm(channels, channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case _:
            assert_never(norm)


def spectrally_normalised(module: nn.Module) -> None:
    """Let every linear and convolution layer of `module` see its weight through SpectralNorm.

    To be called once the weights have their initial values: the power iteration starts from them.
    """
    for layer in list(module.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            # Rows are outputs, and a transposed convolution has its outputs second.
            rows = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            normal = SpectralNorm(layer.weight, rows=rows)
            parametrize.register_parametrization(layer, "weight", normal)
