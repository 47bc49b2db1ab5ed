"""Labels that the images of all other labels speak against: confident learning.

Northcutt, Jiang and Chuang 2021. Every image is judged by a classifier that has not seen it: ridge
regression of the classes on features, cross-validated, its scores turned into probabilities by one
temperature. N images, F features, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from ganlib.determinism import stream

FOLDS = 5
STRENGTHS = (0.03, 0.1, 0.3, 1.0)  # of the ridge, times the mean squared length of the features
MARGIN = 0.6


@dataclass(frozen=True)
class Judged:
    """Probabilities by a classifier that had not seen the image, and how often it is right.

    `loss` is the cross entropy of the labels under them.
    """

    probability_NK: Tensor
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Suspects:
    """Images whose label is likely wrong, surest first.

    `margin` is the probability of the suggested class less that of the given one.
    """

    index: Tensor
    suggested: Tensor
    margin: Tensor


def folds(group_N: Tensor, count: int = FOLDS, *, seed: int = 0) -> Tensor:
    """fold_N in 0..count-1; images of one group share theirs, so no copy judges its copy."""
    group, place = np.unique(group_N.numpy(), return_inverse=True)
    draw = torch.randperm(len(group), generator=stream(seed, "quality/folds"))
    return draw[torch.from_numpy(place)] % count


def judged(feature_NF: Tensor, label_N: Tensor, fold_N: Tensor, classes: int) -> Judged:
    """The strength of the ridge and the temperature are those of least cross entropy.

    Both are two numbers learnt from all images, which no single label can bend.
    """
    feature_NF = _narrow(feature_NF)
    target_NK = nn.one_hot(label_N, classes).to(feature_NF.dtype)
    best, score_NK = float("inf"), torch.zeros_like(target_NK)
    for found_NK in _scores(feature_NF, target_NK, fold_N):
        heat, loss = _temperature(found_NK, label_N)
        if loss < best:
            best, score_NK = loss, found_NK * heat
    probability_NK = score_NK.double().softmax(1)
    return Judged(probability_NK, float((score_NK.argmax(1) == label_N).double().mean()), best)


def judged_best(
    features: Mapping[str, Tensor], label_N: Tensor, fold_N: Tensor, classes: int
) -> tuple[str, Judged]:
    """By the features under which the labels of images not seen are least surprising, and which."""
    found = {name: judged(x_NF, label_N, fold_N, classes) for name, x_NF in features.items()}
    return min(found.items(), key=lambda one: one[1].loss)


def _narrow(feature_NF: Tensor) -> Tensor:
    """No more features than images: turned, which ridge regression does not notice."""
    if len(feature_NF) >= feature_NF.shape[1]:
        return feature_NF
    value_N, vector_NN = torch.linalg.eigh((feature_NF @ feature_NF.mT).double())
    turned_NN: Tensor = vector_NN * value_N.clamp(min=0).sqrt()
    return turned_NN.to(feature_NF.dtype)


def _scores(feature_NF: Tensor, target_NK: Tensor, fold_N: Tensor) -> list[Tensor]:
    """Out-of-fold scores for each strength; all images' Gram matrix less the fold's own is its."""
    length = float(feature_NF.square().sum(1).mean())
    out = [torch.zeros_like(target_NK) for _ in STRENGTHS]
    whole_FF, cross_FK = feature_NF.mT @ feature_NF, feature_NF.mT @ target_NK
    sum_F, sum_K = feature_NF.sum(0), target_NK.sum(0)
    for fold in sorted(set(fold_N.tolist())):
        held = fold_N == fold
        count = int((~held).sum())
        if not count:
            continue
        held_MF, held_MK = feature_NF[held], target_NK[held]
        mean_F, mean_K = (sum_F - held_MF.sum(0)) / count, (sum_K - held_MK.sum(0)) / count
        gram_FF = whole_FF - held_MF.mT @ held_MF - count * torch.outer(mean_F, mean_F)
        right_FK = cross_FK - held_MF.mT @ held_MK - count * torch.outer(mean_F, mean_K)
        for place, strength in enumerate(STRENGTHS):
            damped_FF = gram_FF.clone()
            damped_FF.diagonal().add_(strength * length + 1e-6)
            weight_FK = torch.cholesky_solve(right_FK, torch.linalg.cholesky(damped_FF))
            out[place][held] = (held_MF - mean_F) @ weight_FK + mean_K
    return out


def _temperature(score_NK: Tensor, label_N: Tensor) -> tuple[float, float]:
    """The factor before the softmax (Guo et al. 2017, section 4.2), and the cross entropy."""
    tried = [(float(nn.cross_entropy(score_NK * h, label_N)), h) for h in _HEATS]
    loss, heat = min(tried)
    return heat, loss


_HEATS = [2.0 ** (i / 2) for i in range(13)]


def confident_joint(probability_NK: Tensor, label_N: Tensor) -> tuple[Tensor, Tensor]:
    """count_KK of equation 1, rows the given class, and for each image the class it counts for.

    An image counts for the likeliest of the classes whose probability reaches the mean that images
    given that class have there; for none (-1) where no class does. A class that nobody was given
    has no threshold and is never counted.
    """
    classes = probability_NK.shape[1]
    given_NK = nn.one_hot(label_N, classes).to(probability_NK.dtype)
    count_K = given_NK.sum(0)
    threshold_K = (probability_NK * given_NK).sum(0) / count_K.clamp(min=1)
    threshold_K[count_K == 0] = 2.0
    reached_NK = probability_NK.masked_fill(probability_NK < threshold_K, -1)
    value_N, class_N = reached_NK.max(1)
    class_N = torch.where(value_N >= 0, class_N, -1)
    counted = class_N >= 0
    pair_N = label_N[counted] * classes + class_N[counted]
    return torch.bincount(pair_N, minlength=classes**2).reshape(classes, classes), class_N


def suspects(probability_NK: Tensor, label_N: Tensor, *, margin: float = MARGIN) -> Suspects:
    """Off the diagonal of the confident joint, and sure: by `margin` or more."""
    _, class_N = confident_joint(probability_NK, label_N)
    ahead_N = probability_NK.gather(1, class_N.clamp(min=0)[:, None])[:, 0]
    ahead_N = ahead_N - probability_NK.gather(1, label_N[:, None])[:, 0]
    found = ((class_N >= 0) & (class_N != label_N) & (ahead_N >= margin)).nonzero()[:, 0]
    order = ahead_N[found].argsort(descending=True, stable=True)
    found = found[order]
    return Suspects(found, class_N[found], ahead_N[found])
