"""What is known of each prepared image without looking at it again: digest, hash, moments.

Everything is exact in integers, so it depends on neither the machine nor the number of threads.

N images, H W pixels, C channels, M = 2 C moments.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16


@dataclass(frozen=True)
class Measured:
    """Rows of images with what is known of them; `reasons` is None where the image is good."""

    image_NHWC: NDArray[np.uint8]
    digest_N: NDArray[Any]
    hash_N: NDArray[np.uint64]
    moment_NM: NDArray[np.uint64]
    reasons: list[str | None]


def measure(image_NHWC: NDArray[np.uint8], reasons: list[str | None] | None = None) -> Measured:
    """Measure a block of prepared images."""
    return Measured(
        image_NHWC=image_NHWC,
        digest_N=digests(image_NHWC),
        hash_N=difference_hash(image_NHWC),
        moment_NM=moments(image_NHWC),
        reasons=reasons if reasons is not None else [None] * len(image_NHWC),
    )


def digests(image_NHWC: NDArray[np.uint8]) -> NDArray[Any]:
    """BLAKE2b of the pixels, 16 bytes each, as numpy's `V16`."""
    flat = np.ascontiguousarray(image_NHWC).reshape(
        len(image_NHWC), math.prod(image_NHWC.shape[1:])
    )
    joined = b"".join(hashlib.blake2b(row.data, digest_size=DIGEST_BYTES).digest() for row in flat)
    return np.frombuffer(joined, dtype=f"V{DIGEST_BYTES}")


def moments(image_NHWC: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Per channel the sum and the sum of squares: C sums, then C squares."""
    count, height, width, channels = image_NHWC.shape
    out_NM = np.empty((count, 2 * channels), dtype=np.uint64)
    value_NPC = image_NHWC.reshape(count, height * width, channels)
    for channel in range(channels):
        plane_NP = np.ascontiguousarray(value_NPC[..., channel])
        out_NM[:, channel] = plane_NP.sum(axis=1, dtype=np.uint32)
        square_NP = np.square(plane_NP, dtype=np.uint16)  # 255^2 fits
        out_NM[:, channels + channel] = square_NP.sum(axis=1, dtype=np.uint64)
    return out_NM


def difference_hash(image_NHWC: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """dHash: is each cell of an 8x9 area-averaged thumbnail brighter than its left neighbour?

    64 bits that survive recompression, resizing and a change of brightness.
    """
    count, height, width, channels = image_NHWC.shape
    # Sums stay below 2^24 (float32) or 2^53 (float64): the products are exact integers.
    small = 255 * channels * height * width < 2**24
    exact: type[np.floating[Any]] = np.float32 if small else np.float64
    grey_NHW = image_NHWC[..., 0].astype(np.uint16)
    for channel in range(1, channels):
        grey_NHW += image_NHWC[..., channel]
    rows_8H: NDArray[Any] = _overlap(height, 8).astype(exact)
    columns_W9: NDArray[Any] = _overlap(width, 9).T.astype(exact)
    flat: NDArray[Any] = grey_NHW.astype(exact).reshape(count * height, width)
    cell_N89 = np.matmul(rows_8H, (flat @ columns_W9).reshape(count, height, 9))
    bit_N64 = (cell_N89[:, :, 1:] > cell_N89[:, :, :-1]).reshape(count, 64)
    return np.packbits(bit_N64, axis=1).view(">u8").reshape(count).astype(np.uint64)


@lru_cache(maxsize=16)
def _overlap(pixels: int, cells: int) -> NDArray[np.int64]:
    """How much of each pixel lies in each cell, in 1/cells of a pixel; shape (cells, pixels)."""
    pixel = np.arange(pixels)[None, :] * cells
    cell = np.arange(cells)[:, None] * pixels
    low, high = np.maximum(pixel, cell), np.minimum(pixel + cells, cell + pixels)
    return np.asarray(np.maximum(high - low, 0), np.int64)
