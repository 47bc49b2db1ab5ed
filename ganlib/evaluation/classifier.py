"""How good a classifier is. N samples, H W pixels, C channels, K classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ganlib.evaluation.extractor import Extractor
from ganlib.metrics import Calibration, Confusion, among_best

if TYPE_CHECKING:
    import pandas


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
    _, logits_NK = extractor(image_NHWC)
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
