"""How a side of any length is left by halving, and reached again by doubling."""

from __future__ import annotations


def sides(size: int) -> list[int]:
    """From the coarsest side, 4 to 7 pixels, to `size`: halved and rounded down as often as it can.

    So each is twice the one before it, or one more than that. Raises ValueError below 8 pixels,
    which cannot be halved.
    """
    if size < 8:
        raise ValueError(f"{size} pixels are fewer than 8, and cannot be halved to 4 or more")
    fine_first = [size]
    while fine_first[-1] > 7:
        fine_first.append(fine_first[-1] // 2)
    return fine_first[::-1]


def halvings(size: int, smallest: int) -> int:
    """How often a side can be halved, rounded down, until it would be below `smallest`.

    A 5 or 7 stays as it is, whatever `smallest` is, as the coarsest side of `sides`. Raises
    ValueError if that is never.
    """
    count = 0
    while size >= 2 * smallest and (size % 2 == 0 or size > 7):
        size, count = size // 2, count + 1
    if not count:
        raise ValueError(f"{size} pixels cannot be halved to {smallest} or more")
    return count


def widths(width: int, max_width: int, count: int) -> list[int]:
    """Channels from the finest of `count` resolutions to the coarsest: doubling up to a limit."""
    return [min(width << level, max_width) for level in range(count)]
