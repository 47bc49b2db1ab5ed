"""What a generator is worth as a teacher of classifiers: alone, or beside real images.

N samples, H W pixels, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ganlib.data import Images
from ganlib.evaluation.classifier import ClassifierScores, accuracy_of
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.sampling import balanced_labels, generate, sample_seeds

Learn = Callable[[Images], Extractor]
"""Trains a classifier on these images and nothing else."""


def generated_images(generator: nn.Module, *, per_class: int, classes: int, seed: int) -> Images:
    """`per_class` images of each class in ascending order, no two from the same noise.

    `seed` names the noise as it does in an evaluation.
    """
    label_N = balanced_labels(per_class * classes, classes)
    seed_N = sample_seeds(seed, torch.arange(len(label_N)))
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
