"""Whether some classes are rare. K classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RATIO = 3.0
FEW = 20


@dataclass(frozen=True)
class Rare:
    """A class, how many times larger the largest is, and whether it is small by itself."""

    name: str
    images: int
    ratio: float
    few: bool


def rare(counts: Mapping[str, Sequence[int]], classes: Sequence[str]) -> list[Rare]:
    """Classes with less than a third of the largest's training images, or fewer than 20.

    `counts` is images by split, then by class.
    """
    train = list(counts["train"])
    largest = max(train)
    found = [
        Rare(name, count, largest / max(count, 1), count < FEW)
        for name, count in zip(classes, train, strict=True)
    ]
    return [one for one in found if one.few or one.ratio >= RATIO]
