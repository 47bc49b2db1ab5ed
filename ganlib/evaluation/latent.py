"""Ways through latent space: between two points of it, nearer its middle, one point in all classes.

N samples, S steps, R seeds, Z latent, K classes.
"""

from __future__ import annotations

from math import erf, sqrt
from typing import assert_never

import torch
from torch import Tensor

from ganlib.models.latent import Latent


def interpolate(start_Z: Tensor, end_Z: Tensor, steps: int, kind: Latent) -> Tensor:
    """z_SZ float32 in equal steps from one to the other, both included exactly.

    Normal latents turn from start to end (Shoemake 1985, slerp; White 2016 for latents of any
    norm): half way on a straight line they would be shorter than nearly all the generator has
    seen. Where they point along one line there is no one way to turn, and the straight one is
    taken. Uniform latents fill a box that is convex, and go straight. Raises ValueError for fewer
    than two steps.
    """
    if steps < 2:
        raise ValueError(f"{steps} steps do not reach from one end to the other")
    start_Z, end_Z = start_Z.double(), end_Z.double()
    t_S1 = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    straight_SZ = (1 - t_S1) * start_Z + t_S1 * end_Z
    match kind:
        case "uniform":
            return straight_SZ.float()
        case "normal":
            cosine = torch.nn.functional.cosine_similarity(start_Z, end_Z, dim=0).clamp(-1, 1)
            angle = torch.arccos(cosine)
            if angle.sin() < 1e-6:
                return straight_SZ.float()
            turned_SZ = torch.sin((1 - t_S1) * angle) * start_Z + torch.sin(t_S1 * angle) * end_Z
            return (turned_SZ / angle.sin()).float()
        case _:
            assert_never(kind)


def truncate(z_NZ: Tensor, threshold: float, kind: Latent) -> Tensor:
    """z_NZ of the normal distribution cut off at +-`threshold`, each number moved towards 0.

    The distribution is that of drawing again what lies outside (Brock et al. 2019, section 3.1:
    fidelity for variety). Here each number keeps its rank instead, erf(z' / sqrt 2) =
    erf(z / sqrt 2) erf(threshold / sqrt 2): so a seed remains itself, moves little for a small
    change of the threshold, and can be interpolated. Raises ValueError for a threshold that is not
    above 0, and for uniform latents, whose middle is no likelier than their edge.
    """
    if kind != "normal":
        raise ValueError(f"{kind} latents have no tails to cut off")
    if not threshold > 0:
        raise ValueError(f"a threshold of {threshold} leaves nothing; it must be above 0")
    inside_NZ = torch.erf(z_NZ.double() / sqrt(2)) * erf(threshold / sqrt(2))
    return (torch.erfinv(inside_NZ) * sqrt(2)).to(z_NZ.dtype)


def class_sweep(seed_R: Tensor, label_K: Tensor) -> tuple[Tensor, Tensor]:
    """seed_N and label_N of every seed in each of these classes, seed by seed: a row of K each."""
    return seed_R.repeat_interleave(len(label_K)), label_K.repeat(len(seed_R))
