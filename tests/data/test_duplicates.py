"""Copies are found, whoever else is there."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ganlib.data import duplicates
from ganlib.data.measure import measure


def _find(image_NHWC: NDArray[np.uint8]) -> duplicates.Duplicates:
    known = measure(image_NHWC)
    flat = image_NHWC.reshape(len(image_NHWC), math.prod(image_NHWC.shape[1:])).astype(np.float64)
    return duplicates.find(
        known.digest_N,
        known.hash_N,
        flat.mean(axis=1),
        flat.var(axis=1),
        lambda a, b: ((flat[a] - flat[b]) ** 2).mean(axis=1),
    )


def _pictures(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def test_exact_and_near_copies_are_grouped() -> None:
    image_NHWC = _pictures(300)
    image_NHWC[250] = image_NHWC[10]
    image_NHWC[251] = image_NHWC[10]
    image_NHWC[260] = np.clip(image_NHWC[20].astype(int) + 3, 0, 255)
    image_NHWC[270] = np.clip(image_NHWC[10].astype(int) + 2, 0, 255)
    found = _find(image_NHWC)
    assert [group.tolist() for group in found.exact] == [[10, 250, 251]]
    assert [group.tolist() for group in found.near] == [[10, 250, 251, 270], [20, 260]]


def test_a_crowd_of_flat_pictures_stays_linear() -> None:
    image_NHWC = np.zeros((3000, 8, 8, 1), np.uint8)
    image_NHWC[:, 0, 0, 0] = np.arange(3000) % 256
    found = _find(image_NHWC)
    assert len(found.exact) == 256
    assert sum(map(len, found.exact)) == 3000


def test_nothing_holds_no_copies() -> None:
    found = _find(_pictures(0))
    assert (found.exact, found.near) == ([], [])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sets(st.integers(0, 63), max_size=2), min_size=2, max_size=12))
def test_every_pair_within_two_bits_is_a_candidate(flips: list[set[int]]) -> None:
    base = 0x0123456789ABCDEF
    hash_N = np.array([base ^ sum(1 << bit for bit in bits) for bits in flips], np.uint64)
    found = {tuple(pair) for pair in duplicates._candidates(hash_N, np.zeros(len(hash_N)))}
    expected = {
        (i, j)
        for i in range(len(hash_N))
        for j in range(i + 1, len(hash_N))
        if int(hash_N[i] ^ hash_N[j]).bit_count() <= 2
    }
    assert found == expected
