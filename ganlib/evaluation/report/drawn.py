"""Pictures a report draws itself: truncation, interpolation, two generators side by side.

N images, S steps, K classes, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ganlib.evaluation import pictures
from ganlib.evaluation.latent import interpolate, truncate
from ganlib.evaluation.sampling import generate, grid_labels, grid_names, render
from ganlib.models import kind_of, noise

COLUMNS = 10
THRESHOLDS = (2.0, 1.0, 0.5)


def truncated(generator: nn.Module, names: Sequence[str], seed: int, scale: int) -> bytes:
    """PNG: a class to a column, a threshold to a row, the same noise throughout.

    Raises ValueError for uniform latents, which have no tails.
    """
    label_K = grid_labels(len(names), 1, COLUMNS)
    if len(label_K) < COLUMNS:  # fewer classes: several seeds of each
        label_K = label_K.repeat_interleave(COLUMNS // len(label_K))
    z_KZ = _noise(generator, torch.arange(len(label_K)) + seed)
    kind = kind_of(generator)
    rows = [z_KZ, *(truncate(z_KZ, threshold, kind) for threshold in THRESHOLDS)]
    image_NHWC = render(generator, torch.cat(rows), label_K.repeat(len(rows)))
    told = ["whole", *(f"at {threshold:g}" for threshold in THRESHOLDS)]
    return pictures.grid(image_NHWC, len(label_K), scale, names=told)


def interpolated(
    generator: nn.Module, names: Sequence[str], seeds: tuple[int, int], scale: int, steps: int = 9
) -> bytes:
    """PNG: a row of steps from one seed to the other for each of up to ten classes.

    Without classes each row goes on from the seeds of the one before.
    """
    label_K = grid_labels(len(names), 1, COLUMNS)
    further = 0 if len(names) > 1 else seeds[1] - seeds[0] + 1
    end_K2 = torch.tensor(seeds) + further * torch.arange(len(label_K))[:, None]
    rows = []
    for end_2 in end_K2:
        start_Z, end_Z = _noise(generator, end_2)
        rows.append(interpolate(start_Z, end_Z, steps, kind_of(generator)))
    image_NHWC = render(generator, torch.cat(rows), label_K.repeat_interleave(steps))
    return pictures.grid(image_NHWC, steps, scale, names=grid_names(names, label_K, 1))


def side_by_side(
    left: nn.Module, right: nn.Module, names: Sequence[str], seed: int, scale: int
) -> bytes:
    """PNG: a class to a row, five seeds of one generator and the same five of the other."""
    half = COLUMNS // 2
    label_N = grid_labels(len(names), half)
    seed_N = torch.arange(len(label_N)) + seed
    made = [generate(generator, seed_N, label_N) for generator in (left, right)]
    pair = [one.reshape(-1, half, *one.shape[1:]) for one in made]
    image_NHWC = torch.cat(pair, 1).flatten(0, 1)
    told = grid_names(names, label_N, half)
    return pictures.grid(image_NHWC, COLUMNS, scale, names=told, group=half)


def _noise(generator: nn.Module, seed_N: Tensor) -> Tensor:
    return noise(seed_N, cast(int, generator.latent_size), kind_of(generator))
