"""Digest, hash and moments against plain computations."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from ganlib.data.measure import difference_hash, digests, measure, moments


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (200, 200, 3)])
def test_values_by_hand(shape: tuple[int, int, int]) -> None:
    image_NHWC = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    plain = hashlib.blake2b(image_NHWC[3].tobytes(), digest_size=16).digest()
    assert bytes(digests(image_NHWC)[3]) == plain
    wide = image_NHWC[2].reshape(-1, shape[2]).astype(np.int64)
    expected = [*wide.sum(axis=0), *(wide**2).sum(axis=0)]
    assert moments(image_NHWC)[2].tolist() == expected


def test_the_hash_is_the_sign_of_area_averages() -> None:
    image_HW = np.random.default_rng(1).integers(0, 256, (72, 72), dtype=np.uint8)
    cells = image_HW.reshape(8, 9, 9, 8).astype(float).mean(axis=(1, 3))
    expected = (cells[:, 1:] > cells[:, :-1]).reshape(-1)
    found = int(difference_hash(image_HW[None, :, :, None])[0])
    assert [bool(found >> (63 - i) & 1) for i in range(64)] == expected.tolist()


def test_the_hash_survives_a_change_of_size_and_brightness() -> None:
    smooth = np.random.default_rng(2).integers(0, 200, (6, 6), dtype=np.uint8)
    big = Image.fromarray(smooth).resize((128, 128), Image.Resampling.BICUBIC)
    small = np.asarray(big.resize((64, 64), Image.Resampling.BOX)) + np.uint8(20)
    one = difference_hash(np.asarray(big)[None, :, :, None])
    two = difference_hash(small[None, :, :, None])
    assert int(np.bitwise_count(one ^ two)[0]) <= 2


def test_nothing_measures_as_nothing() -> None:
    empty = measure(np.empty((0, 8, 8, 1), np.uint8))
    assert len(empty.digest_N) == len(empty.hash_N) == len(empty.moment_NM) == 0
