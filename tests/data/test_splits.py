"""Splits stay where they are when images come and go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ganlib.data.blocks import UNSPLIT
from ganlib.data.splits import TEST, TRAIN, VALIDATION, assign
from ganlib.errors import DataError


def _digests(count: int, seed: int = 0) -> NDArray[Any]:
    return np.frombuffer(np.random.default_rng(seed).bytes(16 * count), "V16")


def _assign(label_N: Any, digest_N: Any, given_N: Any = None, **settings: Any) -> Any:
    labels = np.asarray(label_N, np.int32)
    given = np.full(len(labels), UNSPLIT, np.int8) if given_N is None else np.asarray(given_N)
    return assign(
        given.astype(np.int8),
        labels,
        digest_N,
        **{"seed": 0, "validation_fraction": 0.1, "test_fraction": 0.2, **settings},
        classes=tuple(f"c{label}" for label in range(int(labels.max()) + 1)),
    )


def test_fractions_are_met() -> None:
    split_N = _assign(np.arange(20_000) % 4, _digests(20_000))
    shares = np.bincount(split_N, minlength=3) / len(split_N)
    assert shares == pytest.approx([0.72, 0.08, 0.2], abs=0.012)


def test_an_image_keeps_its_split_when_others_are_added() -> None:
    digest_N = _digests(3000)
    before = _assign(np.arange(1000) % 3, digest_N[:1000])
    assert np.array_equal(_assign(np.arange(3000) % 3, digest_N)[:1000], before)


def test_copies_share_a_split_and_seeds_draw_others() -> None:
    digest_N = np.repeat(_digests(300), 2)
    split_N = _assign(np.zeros(600), digest_N)
    assert np.array_equal(split_N[::2], split_N[1::2])
    assert not np.array_equal(split_N, _assign(np.zeros(600), digest_N, seed=1))


@pytest.mark.parametrize("count", range(3, 12))
def test_no_split_lacks_a_small_class(count: int) -> None:
    for seed in range(20):
        split_N = _assign(np.zeros(count), _digests(count, seed))
        assert set(split_N) == {TRAIN, VALIDATION, TEST}


def test_the_source_s_own_splits_are_kept() -> None:
    given_N = np.repeat([TRAIN, TEST], [80, 20])
    split_N = _assign(np.arange(100) % 2, _digests(100), given_N)
    assert (split_N[80:] == TEST).all()
    assert set(split_N[:80]) == {TRAIN, VALIDATION}


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(DataError, match="'c1' has 1 usable image; it needs 3, one in each of"):
        _assign([0] * 10 + [1], _digests(11))
