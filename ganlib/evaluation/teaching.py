"""What a generator is worth as a teacher of classifiers: alone, or beside real images.

N samples, H W pixels, C channels, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean

import torch
from torch import Tensor, nn

from ganlib.data import Images
from ganlib.evaluation.classifier import ClassifierScores, accuracy_of
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.ranges import ends
from ganlib.evaluation.sampling import generate, sample_seeds
from ganlib.evaluation.table import Row
from ganlib.metrics import of_mean

METRIC = "classification_accuracy"
Learn = Callable[[Images], Extractor]
"""Trains a classifier on these images and nothing else."""


def generated_images(generator: nn.Module, label_N: Tensor, *, seed: int) -> Images:
    """One of each label, no two from the same noise, which is that of no evaluation and no
    selection, whatever its `seed` is.
    """
    seed_N = sample_seeds(seed, torch.arange(len(label_N)), "teaching")
    return Images(generate(generator, seed_N, label_N), label_N)


def taught_accuracy(images: Images, learn: Learn, held_out: Images) -> ClassifierScores:
    """Of a classifier taught by `images` alone, on real images that nobody was trained on.

    For generated images it is the classification accuracy score of Ravuri and Vinyals 2019,
    section 3, which asks for images that tell classes apart as real ones do, every kind within a
    class included. They generate as many as there are real training images; here the caller says.
    """
    return accuracy_of(learn(images), held_out.image_NHWC, held_out.label_N)


def mixed(real: Images, generated: Images, share: float) -> Images:
    """Every generated image once, and the real ones as often as it takes, so that `share` of all
    is generated, up to the rounding of how often.

    Each real image appears at least once. Raises ValueError for a share outside 0 to 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}, not between 0 and 1")
    times = max(1, round(len(generated) * (1 - share) / share / len(real)))
    return Images(
        torch.cat([real.image_NHWC.repeat(times, 1, 1, 1), generated.image_NHWC]),
        torch.cat([real.label_N.repeat(times), generated.label_N]),
    )


def drawn(label_M: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """row_N: `count` of these labels' rows at random, all of them where there are fewer, in the
    order of the classes."""
    row_N = torch.randperm(len(label_M), generator=draws)[:count]
    return row_N[label_M.cpu()[row_N].argsort(stable=True)]


def told_of(scores: ClassifierScores, names: Sequence[str]) -> dict[str, float]:
    """The accuracy and that of each class, by the names of their metrics."""
    of_class = zip(names, scores.per_class, strict=True)
    return {METRIC: scores.accuracy, **{f"{METRIC}/{name}": value for name, value in of_class}}


def teaching_rows(
    taught: Sequence[Mapping[str, float]],
    by_real: Sequence[Mapping[str, float]],
    *,
    learnt: Mapping[str, int],
    tested: Mapping[str, int],
) -> tuple[Row, ...]:
    """classification_accuracy, of all and of each class, over classifiers taught by a set each.

    Mappings are from metric, as `told_of` gives them: `by_real` of classifiers taught by real
    images, whose mean is the floor; how many images each learnt from, and how many it was tested
    on. A class that was not tested has no value.
    """
    rows = []
    for metric, count in learnt.items():
        values, real = ([one[metric] for one in side] for side in (taught, by_real))
        between = partial(_between, ends=ends(metric, len(learnt)), tested=tested[metric])
        rows.append(
            Row.of(
                metric,
                fmean(values),
                between(values),
                floor=fmean(real),
                floor_between=between(real),
                count=count,
                extractor="taught:logits",
                over="taught classifiers",
            )
        )
    return tuple(rows)


def _between(
    values: Sequence[float], ends: tuple[float, float], tested: int
) -> tuple[float, float]:
    cases = len(values) * tested if all(map(math.isfinite, values)) else 0
    return of_mean(values, *ends, cases=cases)
