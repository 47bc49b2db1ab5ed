"""Whether two sets of images are from one source: a classifier two-sample test.

Lopez-Paz and Oquab 2017, section 3: half of both sets teaches a classifier to tell them apart, the
other half tests it. If there is nothing to tell, its accuracy over n images is normal around 1/2
with variance 1/(4n). The classifier is ridge regression on features.

M and N images, F features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.determinism import stream

LEAST = 20  # of each set, below which nothing is said
MOST = 5_000
STRENGTH = 0.1


@dataclass(frozen=True)
class Drift:
    """`accuracy` .5 is none and 1 means that each image gives its set away; `tested` is n.

    `foreign_N` is how much more each image of the other set looks like that set than like this,
    judged by a half that it was not in; -inf for images that were not drawn.
    """

    accuracy: float
    p_value: float
    tested: int
    foreign_N: Tensor


def compare(here_MF: Tensor, other_NF: Tensor, *, seed: int = 0) -> Drift | None:
    """Equally many of both, at most 5,000; none where there are fewer than 20 of one."""
    count = min(len(here_MF), len(other_NF), MOST) // 2 * 2
    if count < LEAST:
        return None
    draw = stream(seed, "quality/drift")
    mine = torch.randperm(len(here_MF), generator=draw)[:count]
    theirs = torch.randperm(len(other_NF), generator=draw)[:count]
    half, foreign_N = count // 2, torch.full((len(other_NF),), -float("inf"))
    right = 0
    for turn in range(2):
        learn, test = (
            (slice(0, half), slice(half, count))
            if turn == 0
            else (
                slice(half, count),
                slice(0, half),
            )
        )
        weight_F, offset = _fit(here_MF[mine[learn]], other_NF[theirs[learn]])
        score = other_NF[theirs[test]] @ weight_F - offset
        foreign_N[theirs[test]] = score
        if turn == 0:
            right = int((score > 0).sum())
            right += int((here_MF[mine[test]] @ weight_F - offset <= 0).sum())
    accuracy = right / count
    z = (accuracy - 0.5) * 2 * math.sqrt(count)
    return Drift(accuracy, 0.5 * math.erfc(z / math.sqrt(2)), count, foreign_N)


def _fit(here_MF: Tensor, other_NF: Tensor) -> tuple[Tensor, Tensor]:
    """weight_F and the score below which an image is taken for one from here."""
    feature_NF = torch.cat([here_MF, other_NF])
    mean_F = feature_NF.mean(0)
    centred_NF = feature_NF - mean_F
    target_N = torch.cat([-torch.ones(len(here_MF)), torch.ones(len(other_NF))])
    gram_FF = centred_NF.mT @ centred_NF
    gram_FF.diagonal().add_(STRENGTH * float(centred_NF.square().sum(1).mean()) + 1e-6)
    weight_F = torch.linalg.solve(gram_FF, centred_NF.mT @ target_N)
    return weight_F, mean_F @ weight_F
