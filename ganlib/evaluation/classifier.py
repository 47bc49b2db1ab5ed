"""How good a classifier is. N samples, H W pixels, C channels, K classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganlib.determinism import stream
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.table import Row
from ganlib.metrics import Calibration, Confusion, among_best, of_share

if TYPE_CHECKING:
    import pandas


# Of the whole range of a pixel.
NOISES = (0.1, 0.2)


@dataclass(frozen=True)
class ClassifierScores:
    """`per_class` is each class's recall, NaN if absent; rows of confusion_KK are the truth.

    `top5` is the share of images whose class is among the five likeliest, none for five classes or
    fewer. `calibration_error` is the expected one of Guo et al. 2017 in 15 bins.
    """

    accuracy: float
    top5: float | None
    calibration_error: float
    per_class: tuple[float, ...]
    confusion_KK: tuple[tuple[int, ...], ...]
    samples: int

    def to_frame(self, names: Sequence[str]) -> pandas.DataFrame:
        """One row per true class: class, images, accuracy, and a count per predicted class."""
        import pandas

        frame = pandas.DataFrame(self.confusion_KK, columns=[f"as {name}" for name in names])
        frame.insert(0, "class", list(names))
        frame.insert(1, "images", [sum(row) for row in self.confusion_KK])
        frame.insert(2, "accuracy", self.per_class)
        return frame


def accuracy_of(extractor: Extractor, image_NHWC: Tensor, label_N: Tensor) -> ClassifierScores:
    """uint8, (N,) int64; the same on every rank, since each looks at all images."""
    return accuracy_from(extractor(image_NHWC)[1], label_N)


def accuracy_from(logits_NK: Tensor, label_N: Tensor) -> ClassifierScores:
    """`accuracy_of` images of which these are the logits."""
    logits_NK, label_N = logits_NK.cpu(), label_N.cpu()
    classes = logits_NK.shape[1]
    confusion = Confusion.of(label_N, logits_NK.argmax(1), classes)
    calibration = Calibration.of(logits_NK.double().softmax(1), label_N)
    return ClassifierScores(
        accuracy=confusion.accuracy(),
        top5=float(among_best(logits_NK, label_N, 5).double().mean()) if classes > 5 else None,
        calibration_error=calibration.error(),
        per_class=tuple(confusion.per_class().tolist()),
        confusion_KK=tuple(tuple(row) for row in confusion.count_KK.tolist()),
        samples=len(label_N),
    )


def under_noise(
    extractor: Extractor, image_NHWC: Tensor, label_N: Tensor, sigma: float, seed: int
) -> float:
    """Accuracy with normal noise of `sigma` of the range on every pixel, cut off at its ends."""
    draws = stream(seed, "noise")
    noise_NHWC = torch.randn(image_NHWC.shape, generator=draws) * (255 * sigma)
    noisy_NHWC = (image_NHWC.cpu() + noise_NHWC).round().clamp(0, 255).to(torch.uint8)
    _, logits_NK = extractor(noisy_NHWC)
    return float((logits_NK.argmax(1).cpu() == label_N.cpu()).double().mean())


def classifier_rows(
    scores: ClassifierScores,
    names: Sequence[str],
    noisy: Sequence[tuple[float, float, int]],
    extractor: str,
) -> tuple[Row, ...]:
    """The same columns as a generator's; no floor, since real images are what is judged.

    `noisy` is sigma, accuracy and count. A calibration error has no interval: in parts of the
    images it is larger than in all.
    """
    network = extractor.partition(":")[0] + ":logits"

    def share(metric: str, value: float, count: int) -> Row:
        return Row.of(
            metric,
            value,
            of_share(value, count),
            count=count,
            extractor=network,
            over="held-out images",
        )

    rows = [share("accuracy", scores.accuracy, scores.samples)]
    if scores.top5 is not None:
        rows.append(share("top5", scores.top5, scores.samples))
    rows.append(
        Row.of(
            "calibration_error",
            scores.calibration_error,
            (math.nan, math.nan),
            count=scores.samples,
            extractor=network,
            over="",
        )
    )
    rows += [
        share(f"accuracy_noise_{sigma * 100:.0f}", value, count) for sigma, value, count in noisy
    ]
    rows += [
        share(f"accuracy/{name}", value, sum(counts))
        for name, value, counts in zip(names, scores.per_class, scores.confusion_KK, strict=True)
    ]
    return tuple(rows)
