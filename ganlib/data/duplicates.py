"""Images that are there twice: pixel for pixel, or nearly.

Near means: the 64-bit difference hashes differ in at most 2 bits, and the mean squared difference
of the prepared pixels is at most 2 % of the pictures' own variance. That is a recompressed or
rescaled copy; two ones of MNIST in the same hand are not (there 1 test image of 10,000 has such a
neighbour among the training images). Hashes are compared where two of their four 16-bit quarters
agree, which every such pair does. In a bucket of more than `CROWD` images (flat pictures share
hashes) each is compared with its `REACH` nearest in mean brightness only: the work stays linear.

N images, P candidate pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

CROWD = 64
REACH = 8
MAX_BITS = 2
MAX_SHARE = 0.02
FLAT = 1.0  # a variance below this is that of noise


@dataclass(frozen=True)
class Duplicates:
    """Groups of rows, each in source order; a near group may hold exact copies as well."""

    exact: list[NDArray[np.int64]]
    near: list[NDArray[np.int64]]


def exact_groups(digest_N: NDArray[Any]) -> list[NDArray[np.int64]]:
    """Rows with the same digest, where there are two or more."""
    if not len(digest_N):
        return []
    halves = np.ascontiguousarray(digest_N).view(np.uint64).reshape(-1, 2)
    order = np.lexsort((np.arange(len(halves)), halves[:, 1], halves[:, 0]))
    ordered = halves[order]
    starts = np.flatnonzero(np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)])
    sizes = np.diff(np.r_[starts, len(order)])
    many = np.flatnonzero(sizes > 1)
    groups = [np.sort(order[starts[i] : starts[i] + sizes[i]]) for i in many]
    return sorted(groups, key=lambda group: int(group[0]))


def find(
    digest_N: NDArray[Any],
    hash_N: NDArray[np.uint64],
    brightness_N: NDArray[np.float64],
    variance_N: NDArray[np.float64],
    distance: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
) -> Duplicates:
    """Brightness and variance are over all values of an image, in grey levels.

    `distance(rows, rows)` is the mean squared difference of each pair.
    """
    exact = exact_groups(digest_N)
    alone = np.ones(len(digest_N), bool)
    for group in exact:
        alone[group[1:]] = False
    rows = np.flatnonzero(alone)
    pairs = rows[_candidates(hash_N[rows], brightness_N[rows])]
    left, right = pairs[:, 0], pairs[:, 1]
    allowed = MAX_SHARE * np.maximum(FLAT, (variance_N[left] + variance_N[right]) / 2)
    # Means further apart than that put the pixels further apart, too.
    maybe = (brightness_N[left] - brightness_N[right]) ** 2 <= allowed
    left, right, allowed = left[maybe], right[maybe], allowed[maybe]
    close = distance(left, right) <= allowed
    copies = [np.stack([np.full(len(g) - 1, g[0]), g[1:]], axis=1) for g in exact]
    links = np.stack([left[close], right[close]], axis=1)
    near_firsts = set(links.reshape(-1).tolist())
    joined = [links, *(c for c in copies if int(c[0, 0]) in near_firsts)]
    return Duplicates(exact, components(np.concatenate(joined)) if len(links) else [])


def _candidates(hash_N: NDArray[np.uint64], brightness_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """Pairs (P, 2), lower row first, whose hashes are near."""
    found = [np.empty((0, 2), np.int64)]
    for one, two in combinations(range(4), 2):
        mask = np.uint64((0xFFFF << (16 * one)) | (0xFFFF << (16 * two)))
        found += _bucket_pairs(hash_N & mask, hash_N, brightness_N)
    return np.unique(np.concatenate(found), axis=0)


def _bucket_pairs(
    key_N: NDArray[np.uint64], hash_N: NDArray[np.uint64], brightness_N: NDArray[np.float64]
) -> Iterator[NDArray[np.int64]]:
    """Pairs of a bucket with near hashes: all of a small one, neighbours in a crowded one."""
    order = np.lexsort((brightness_N, key_N))
    key = key_N[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.empty(0, int)
    sizes = np.diff(np.r_[starts, len(key)])
    size_N = np.repeat(sizes, sizes)
    reach_N = np.where(size_N > CROWD, REACH, size_N - 1)
    for step in range(1, int(reach_N.max(initial=0)) + 1):
        first = np.flatnonzero(reach_N[:-step] >= step)
        first = first[key[first] == key[first + step]]
        left, right = order[first], order[first + step]
        near = np.bitwise_count(hash_N[left] ^ hash_N[right]) <= MAX_BITS
        yield np.sort(np.stack([left[near], right[near]], axis=1), axis=1)


def components(pair_P2: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows joined by pairs, as sorted groups."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for left, right in pair_P2.tolist():
        a, b = root(left), root(right)
        parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for row in sorted(parent):
        groups.setdefault(root(row), []).append(row)
    return [np.array(groups[first], np.int64) for first in sorted(groups)]
