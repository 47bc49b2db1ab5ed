"""Seconds as a person says them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`0.4 s`, `59 s`, `2 min 05 s`, `3 h 04 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
