"""How a side of so many pixels is reached by doubling, or left by halving."""

from __future__ import annotations


def base_and_doublings(size: int) -> tuple[int, int]:
    """`size` = base * 2^doublings with base in 4..7; raises ValueError if there is no such pair."""
    base, doublings = size, 0
    while base > 7 and base % 2 == 0:
        base, doublings = base // 2, doublings + 1
    if not 4 <= base <= 7 or doublings < 1:
        raise ValueError(f"{size} pixels are not 4, 5, 6 or 7 times a power of two")
    return base, doublings


def halvings(size: int, smallest: int) -> int:
    """How often an even side can be halved until it is odd or below twice `smallest`.

    Raises ValueError if that is never.
    """
    count = 0
    while size % 2 == 0 and size >= 2 * smallest:
        size, count = size // 2, count + 1
    if not count:
        raise ValueError(f"{size} pixels are not an even number from {2 * smallest} on")
    return count


def widths(width: int, max_width: int, count: int) -> list[int]:
    """Channels from the finest of `count` resolutions to the coarsest: doubling up to a limit."""
    return [min(width << level, max_width) for level in range(count)]
