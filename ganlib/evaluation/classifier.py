"""How good a classifier is. N samples, H W pixels, C channels, K classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ganlib.evaluation.extractor import Extractor
from ganlib.metrics import Confusion

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class ClassifierScores:
    """`per_class` is each class's recall, NaN if absent; rows of confusion_KK are the truth."""

    accuracy: float
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
    confusion = Confusion.of(label_N.cpu(), logits_NK.argmax(1).cpu(), logits_NK.shape[1])
    return ClassifierScores(
        accuracy=confusion.accuracy(),
        per_class=tuple(confusion.per_class().tolist()),
        confusion_KK=tuple(tuple(row) for row in confusion.count_KK.tolist()),
        samples=len(label_N),
    )
