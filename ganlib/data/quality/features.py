"""Features that no label has taught: what a dictionary of small patches sees in an image.

Coates, Ng and Lee 2011, section 3: patches are normalised and whitened, spherical k-means learns K
of them, and an image becomes the rectified answers to each, pooled over its quarters. Labels that
are wrong cannot have bent such features, which is why label errors are looked for in them. Their
square roots and a thumbnail's colours come on top, and each feature is scaled to unit variance.

N images, C channels, H W pixels, P patch side, K patches of the dictionary, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as nn
from torch import Tensor

from ganlib.data.images import ImageRows
from ganlib.determinism import stream

SIDE = 32  # more pixels than that cost time and say little more of a class
PATCHES = 20_000
ROUNDS = 8
MOST, FEWEST = 256, 64
ROOM = 1 << 26  # numbers that the features of all images may take, while K stays above FEWEST
SHRINK, WHITE = 1.5e-3, 0.1  # added to a patch's variance, and to the eigenvalues of all
DEAD = 0.5  # answers below it are none
THUMB = 4
BATCH = 64


def shrunk(image_NHWC: Tensor, side: int, channels: int) -> Tensor:
    """uint8 -> x_NCHW float32 in 0..1 of at most `side` pixels, grey where `channels` is 1."""
    x_NCHW = image_NHWC.permute(0, 3, 1, 2).float() / 255
    if channels == 1 and x_NCHW.shape[1] == 3:
        x_NCHW = x_NCHW.mean(1, keepdim=True)
    elif channels == 3 and x_NCHW.shape[1] == 1:
        x_NCHW = x_NCHW.expand(-1, 3, -1, -1)
    if x_NCHW.shape[2] != side:
        x_NCHW = nn.interpolate(x_NCHW, (side, side), mode="area")
    return x_NCHW.contiguous()


def unit(feature_NF: Tensor) -> tuple[Tensor, Tensor]:
    """mean_F and scale_F that bring features to unit variance, those that hardly vary to less."""
    deviation_F = feature_NF.std(0, correction=0)
    return feature_NF.mean(0), 1 / (deviation_F + 0.05 * deviation_F.mean().clamp(min=1e-6))


@dataclass(frozen=True)
class PatchFeatures:
    """`learn` is the way to get one. `mirrored`: an image and its mirror image are the same."""

    filter_KCPP: Tensor
    bias_K: Tensor
    side: int
    mirrored: bool
    mean_F: Tensor
    scale_F: Tensor

    @classmethod
    def learn(
        cls, image_NHWC: ImageRows, *, seed: int = 0, mirrored: bool = False, side: int = 0
    ) -> PatchFeatures:
        """From uint8 images of one size; `side` 0: their own, at most 32 pixels.

        Raises ValueError without images.
        """
        if not len(image_NHWC):
            raise ValueError("features need images to be learnt from")
        side = side or min(SIDE, int(image_NHWC.shape[1]))
        channels = int(image_NHWC.shape[3])
        draw = stream(seed, "quality/patches")
        chosen = torch.randperm(len(image_NHWC), generator=draw)[:2000].sort().values
        x_NCHW = shrunk(image_NHWC[chosen], side, channels)
        count = max(FEWEST, min(MOST, ROOM // (8 * len(image_NHWC))))
        filter_KCPP, bias_K = _dictionary(x_NCHW, 6 if side >= 16 else 4, count, draw)
        zero, one = torch.zeros(()), torch.ones(())
        bare = cls(filter_KCPP, bias_K, side, mirrored, zero, one)
        feature_NF = bare._answers(x_NCHW)
        mean_F, scale_F = unit(feature_NF)
        return cls(filter_KCPP, bias_K, side, mirrored, mean_F, scale_F)

    def __call__(self, image_NHWC: ImageRows) -> Tensor:
        """uint8 images of any size -> feature_NF float32."""
        channels = self.filter_KCPP.shape[1]
        parts = [
            self._answers(shrunk(image_NHWC[start : start + BATCH], self.side, channels))
            for start in range(0, len(image_NHWC), BATCH)
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def _answers(self, x_NCHW: Tensor) -> Tensor:
        parts = [self._pooled(x_NCHW[i : i + BATCH]) for i in range(0, len(x_NCHW), BATCH)]
        return (torch.cat(parts) - self.mean_F) * self.scale_F

    def _pooled(self, x_NCHW: Tensor) -> Tensor:
        patch = self.filter_KCPP.shape[-1]
        stride = 2 if self.side > 16 else 1
        answer_NKHW = nn.conv2d(x_NCHW, self.filter_KCPP, stride=stride)
        answer_NKHW = answer_NKHW * _inverse_deviation(x_NCHW, patch, stride)
        answer_NKHW -= self.bias_K[:, None, None]
        parts = [nn.relu(answer_NKHW - DEAD), nn.relu(-answer_NKHW - DEAD)]
        thumb_NCHW = nn.adaptive_avg_pool2d(x_NCHW, THUMB)
        if self.mirrored:
            grid = (2, 1)
            thumb_NCHW = (thumb_NCHW + thumb_NCHW.flip(3))[..., : THUMB // 2] / 2
        else:
            grid = (2, 2)
        pooled = [nn.adaptive_avg_pool2d(part, grid).flatten(1).sqrt() for part in parts]
        return torch.cat([*pooled, thumb_NCHW.flatten(1)], 1)


def _inverse_deviation(x_NCHW: Tensor, patch: int, stride: int) -> Tensor:
    """Of each patch of all channels, as (N, 1, H, W)."""
    ones = torch.ones(1, x_NCHW.shape[1], patch, patch) / (x_NCHW.shape[1] * patch**2)
    mean = nn.conv2d(x_NCHW, ones, stride=stride)
    square = nn.conv2d(x_NCHW.square(), ones, stride=stride)
    return (square - mean.square()).clamp(min=0).add(SHRINK).rsqrt()


def _dictionary(
    x_NCHW: Tensor, patch: int, count: int, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Filters that answer with a whitened patch's share of each entry, and what to subtract."""
    images, channels, side, _ = x_NCHW.shape
    image_S = torch.randint(0, images, (PATCHES,), generator=draw)
    top_S = torch.randint(0, side - patch + 1, (PATCHES,), generator=draw)
    left_S = torch.randint(0, side - patch + 1, (PATCHES,), generator=draw)
    step = torch.arange(patch)
    patch_SD = x_NCHW[
        image_S[:, None, None],
        :,
        (top_S[:, None] + step)[:, :, None],
        (left_S[:, None] + step)[:, None, :],
    ]  # (S, P, P, C)
    patch_SD = patch_SD.permute(0, 3, 1, 2).flatten(1)
    patch_SD = patch_SD - patch_SD.mean(1, keepdim=True)
    patch_SD = patch_SD * patch_SD.var(1, keepdim=True, correction=0).add(SHRINK).rsqrt()
    mean_D = patch_SD.mean(0)
    centred_SD = patch_SD - mean_D
    value_D, vector_DD = torch.linalg.eigh(centred_SD.mT @ centred_SD / PATCHES)
    white_DD = (vector_DD * (value_D + WHITE).rsqrt()) @ vector_DD.mT
    entry_KD = _spherical(centred_SD @ white_DD, count, draw)
    filter_KD = entry_KD @ white_DD
    bias_K = filter_KD @ mean_D
    filter_KD = filter_KD - filter_KD.mean(1, keepdim=True)  # so a patch's own mean drops out
    return filter_KD.reshape(-1, channels, patch, patch).contiguous(), bias_K


def _spherical(point_SD: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """Gain-shape k-means (Coates and Ng 2012): unit entries, each point along its best one."""
    chosen = torch.randperm(len(point_SD), generator=draw)[:count]
    entry_KD = nn.normalize(point_SD[chosen], dim=1)
    for _ in range(ROUNDS):
        share_SK = point_SD @ entry_KD.mT
        best_S = share_SK.abs().argmax(1)
        along_S = share_SK.gather(1, best_S[:, None])
        sum_KD = torch.zeros_like(entry_KD).index_add_(0, best_S, point_SD * along_S)
        moved = sum_KD.norm(dim=1, keepdim=True) > 1e-6
        entry_KD = torch.where(moved, nn.normalize(sum_KD, dim=1), entry_KD)
    return entry_KD
