"""Layers whose statistics span the whole batch or the whole weight.

N samples, C channels, H W pixels, K classes, F features, Z latent. Imports torch alone.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Replicas(Protocol):
    """What a layer asks of data parallelism: how many ranks, and a differentiable sum over them."""

    @property
    def world(self) -> int: ...

    def sum(self, tensor: Tensor) -> Tensor: ...


class Alone:
    """The only rank."""

    world = 1

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
        # Moments around a value that all ranks know, so that one sum loses no digits.
        around_C = self.running_mean.clone()
        offset_C = mean_C - around_C
        sums_2C = self.replicas.sum(torch.stack([offset_C, var_C + offset_C * offset_C]))
        offset_C, square_C = sums_2C / self.replicas.world
        mean_C, var_C = around_C + offset_C, square_C - offset_C * offset_C

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
    """A weight over its largest singular value (Miyato et al. 2018, eq. 8), its first axis as rows.

    Each forward in training mode takes one step of the power iteration and stores `left`; in eval
    mode nothing is stored, so the result repeats. The singular vectors are constants to autograd
    (eq. 12), also under double backward. It sees weights alone, so equal weights on all ranks stay
    equal. Never in less than the weight's own precision.
    """

    left: Tensor

    def __init__(self, weight: Tensor, *, warm_up: int = 15) -> None:
        super().__init__()
        matrix_RF = weight.detach().flatten(1)
        self.register_buffer("left", F.normalize(torch.randn(len(matrix_RF)).to(weight), dim=0))
        for _ in range(warm_up):
            self.left.copy_(_step(matrix_RF, self.left)[0])

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            matrix_RF = weight.flatten(1)
            left_R, right_F = _step(matrix_RF.detach(), self.left)
            if self.training:
                with torch.no_grad():
                    self.left.copy_(left_R)
            sigma = torch.dot(left_R, torch.mv(matrix_RF, right_F))
            normal: Tensor = weight / sigma
            return normal


@torch.no_grad()
def _step(matrix_RF: Tensor, left_R: Tensor) -> tuple[Tensor, Tensor]:
    right_F = F.normalize(torch.mv(matrix_RF.t(), left_R), dim=0, eps=1e-12)
    return F.normalize(torch.mv(matrix_RF, right_F), dim=0, eps=1e-12), right_F


class Conv(nn.Module):
    """A convolution with weights from N(0, std), spectrally normalised if asked."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        spectral: bool = False,
        std: float = 0.02,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) * std)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.norm = SpectralNorm(self.weight) if spectral else nn.Identity()
        self.stride, self.padding = stride, padding

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.conv2d(x_NCHW, self.norm(self.weight), self.bias, self.stride, self.padding)


class Projection(nn.Module):
    """Miyato and Koyama 2018, eq. 3: logit = (w + v_y) . phi + b, one logit per sample.

    The unconditional w and the class matrix v are each over their own largest singular value if
    `spectral`. Computed in the parameters' precision under autocast too.
    """

    def __init__(self, features: int, classes: int, *, spectral: bool, std: float = 0.02) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, features) * std)
        self.bias = nn.Parameter(torch.zeros(1))
        self.embedding = nn.Parameter(torch.randn(classes, features) * std)
        self.weight_norm = SpectralNorm(self.weight) if spectral else nn.Identity()
        self.embedding_norm = SpectralNorm(self.embedding) if spectral else nn.Identity()

    def forward(self, phi_NF: Tensor, label_N: Tensor) -> Tensor:
        """(N, F), (N,) int64 -> logit_N."""
        class_KF = self.embedding_norm(self.embedding)
        direction_NF = self.weight_norm(self.weight) + F.embedding(label_N, class_KF)
        logit_N: Tensor = (phi_NF.to(direction_NF.dtype) * direction_NF).sum(1) + self.bias
        return logit_N
