"""Images from a generator, each a function of its own seed and class.

N samples, H W pixels, C channels, K classes, Z latent, B a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ganlib.determinism import sub_seed
from ganlib.errors import NotFinite
from ganlib.models import kind_of, noise, to_uint8

ALONE = 8
"""Rows of a grid of images without classes."""
Purpose = Literal["evaluation", "selection", "teaching"]


def sample_seeds(seed: int, row_N: Tensor, purpose: Purpose = "evaluation") -> Tensor:
    """seed_N: the noise of these samples of the set that `seed` names.

    What selects models looks at other noise than what judges them, whose best draw it would be,
    and what teaches classifiers at noise of its own.
    """
    return sub_seed(seed, purpose) % 2**31 + row_N


def generate(generator: nn.Module, seed_N: Tensor, label_N: Tensor, batch: int = 256) -> Tensor:
    """(N,) int64, (N,) int64 -> image_NHWC uint8 on the CPU, in evaluation mode.

    Image i depends on seed_N[i] and label_N[i] alone. The generator's mode is left as it was.
    """
    latent_size, kind = cast(int, generator.latent_size), kind_of(generator)
    parts = []
    for start in range(0, max(len(seed_N), 1), batch):
        z_BZ = noise(seed_N[start : start + batch], latent_size, kind)
        parts.append(render(generator, z_BZ, label_N[start : start + batch]))
    return torch.cat(parts)


@torch.no_grad()
def render(generator: nn.Module, z_NZ: Tensor, label_N: Tensor, batch: int = 256) -> Tensor:
    """(N, Z), (N,) int64 -> image_NHWC uint8 on the CPU: `generate` for latents of one's own.

    Raises NotFinite for a generator that gives NaN or infinity, which as bytes would be a colour.
    """
    weight = next(generator.parameters())
    training = generator.training
    generator.eval()
    try:
        parts = []
        for start in range(0, max(len(z_NZ), 1), batch):
            label_B = label_N[start : start + batch].to(weight.device)
            image_BCHW = generator(z_NZ[start : start + batch].to(weight), label_B)
            if not bool(torch.isfinite(image_BCHW).all()):
                raise NotFinite(
                    "the generator gives images that are not finite",
                    where="generator",
                    hint="its weights or their averages diverged: train it anew with lower rates",
                )
            parts.append(to_uint8(image_BCHW).cpu())
        return torch.cat(parts)
    finally:
        generator.train(training)


def blind(generator: nn.Module, classes: int) -> bool:
    """Whether the images of one noise are the same in every class: it cannot be asked for one."""
    seed_K = torch.zeros(classes, dtype=torch.int64)
    image_KHWC = generate(generator, seed_K, torch.arange(classes))
    return bool((image_KHWC == image_KHWC[:1]).all())


def balanced_labels(count: int, shares: Tensor | int) -> Tensor:
    """`count` labels in ascending order, in the proportions share_K or equally over K classes.

    Rounded by largest remainder, the lower class first where they tie.
    """
    if isinstance(shares, int):
        shares = torch.full((shares,), 1.0 / shares, dtype=torch.float64)
    wanted_K = shares.double().cpu() / shares.double().cpu().sum() * count
    count_K = wanted_K.floor().long()
    # Rounded, so that equal shares tie whatever their last bits are.
    rest_K = (wanted_K - count_K).mul(1e9).round()
    most = torch.argsort(rest_K, descending=True, stable=True)[: count - int(count_K.sum())]
    count_K[most] += 1
    return torch.repeat_interleave(torch.arange(len(count_K)), count_K)


def grid_labels(classes: int, columns: int, most_rows: int = 16) -> Tensor:
    """One class to a row of `columns`, at most `most_rows` classes evenly chosen from all.

    A single class is none, and has up to ALONE rows.
    """
    rows = min(classes if classes > 1 else ALONE, most_rows)
    row_R = torch.arange(rows) * classes // rows
    return row_R.repeat_interleave(columns)


def grid_names(names: Sequence[str], label_N: Tensor, columns: int) -> tuple[str, ...]:
    """What stands beside each row of such a grid; nothing where a single class is none."""
    if len(names) == 1:
        return ()
    return tuple(names[label] for label in label_N[::columns].tolist())
