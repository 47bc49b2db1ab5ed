"""Train, validation and test: drawn from each image's own digest, so that they never move.

An image keeps its split when others are added or taken away, and two copies of one picture lie in
the same split. Only in a class too small for that is an image moved, so that no split lacks it.

N images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.data.blocks import SPLITS, UNSPLIT
from ganlib.errors import DataError

TRAIN, VALIDATION, TEST = range(len(SPLITS))


def assign(
    given_N: NDArray[np.int8],
    label_N: NDArray[np.int32],
    digest_N: NDArray[Any],
    *,
    seed: int,
    validation_fraction: float,
    test_fraction: float,
    classes: tuple[str, ...],
) -> NDArray[np.int8]:
    """Splits by index into SPLITS; the source's own are kept, and those it lacks are drawn.

    `validation_fraction` is of the training images, `test_fraction` of all. Raises DataError naming
    a class with too few images to appear in every split.
    """
    split_N = given_N.copy()
    pool = np.flatnonzero((given_N == UNSPLIT) | (given_N == TRAIN))
    drawn = [s for s in (TEST, VALIDATION) if not (given_N == s).any()]
    _require(label_N[pool], classes, 1 + len(drawn), drawn)
    place = _places(digest_N[pool], seed)
    test = 0.0
    if TEST in drawn:
        test = min(0.9, test_fraction * len(given_N) / max(1, len(pool)))
    validation = validation_fraction * (1 - test) if VALIDATION in drawn else 0.0
    chosen = np.full(len(pool), TRAIN, np.int8)
    chosen[place < test + validation] = VALIDATION
    chosen[place < test] = TEST
    for label in range(len(classes)):
        _fill(chosen, np.flatnonzero(label_N[pool] == label), place, drawn)
    split_N[pool] = chosen
    return split_N


def _places(digest_N: NDArray[Any], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) from each digest and the seed (the finaliser of splitmix64)."""
    if not len(digest_N):
        return np.empty(0)
    bits = np.ascontiguousarray(digest_N).view(np.uint64).reshape(-1, 2)[:, 0].copy()
    bits ^= np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return np.asarray((bits >> np.uint64(11)) / 2.0**53)


def _fill(
    chosen: NDArray[np.int8],
    rows: NDArray[np.int64],
    place: NDArray[np.float64],
    drawn: list[int],
) -> None:
    """Give each split that has none of a class the image nearest to it."""
    by_place = rows[np.argsort(place[rows], kind="stable")]
    for split, order in ((TEST, by_place), (VALIDATION, by_place), (TRAIN, by_place[::-1])):
        wanted = split == TRAIN or split in drawn
        if not wanted or (chosen[rows] == split).any():
            continue
        for row in order:
            if (chosen[rows] == chosen[row]).sum() > 1:
                chosen[row] = split
                break


def _require(
    label_N: NDArray[np.int32], classes: tuple[str, ...], needed: int, drawn: list[int]
) -> None:
    counts = np.bincount(label_N, minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if count < needed:
            classed = len(classes) > 1
            has = f"class {name!r} has" if classed else "the folder has"
            names = ["train", *(SPLITS[s] for s in sorted(drawn))]
            raise DataError(
                f"{has} {count} usable image{'' if count == 1 else 's'}; "
                f"it needs {needed}, one in each of {', '.join(names)}",
                where=name,
                hint="add images of it, or remove its folder" if classed else "add images",
            )
