"""scikit-learn's handwritten digits, read from its wheel without importing it.

1,797 images of 8x8 with values 0 to 16 (Alpaydin and Kaynak 1998), scaled to 0..255.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ganlib.data.blocks import UNSPLIT, ArrayPart, Block, Notes
from ganlib.errors import DataError

STATE = "digits/1"


class DigitsSource:
    """All of it in memory: 115 kB."""

    def __init__(self) -> None:
        table = np.loadtxt(_file(), delimiter=",", dtype=np.int64)
        grey_NP = np.rint(table[:, :64] * 255 / 16).astype(np.uint8)
        self.image_NHWC = grey_NP.reshape(-1, 8, 8, 1)
        self.label_N = table[:, 64].astype(np.int32)
        self.classes = tuple(str(digit) for digit in range(10))
        self.notes = Notes()

    @property
    def count(self) -> int:
        return len(self.label_N)

    def blocks(self, size: int) -> Iterator[Block]:
        part = ArrayPart("digits", UNSPLIT, self.label_N, lambda a, b: self.image_NHWC[a:b])
        yield from part.blocks(size, "scikit-learn", STATE)


def _file() -> Path:
    spec = find_spec("sklearn")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return path
    raise DataError(
        "scikit-learn's digits are not installed",
        where="sklearn/datasets/data/digits.csv.gz",
        hint="pip install scikit-learn",
    )
