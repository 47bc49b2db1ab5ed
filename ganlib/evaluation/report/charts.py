"""Lines and bars as inline SVG, in the page's own colours and readable at a phone's width."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from ganlib.evaluation.report.facts import Points
from ganlib.evaluation.table import Row

WIDTH, HEIGHT = 360, 190
# At the right there is room for half of the last number.
LEFT, RIGHT, TOP, BOTTOM = 40, 20, 14, 34


def line(name: str, points: Points, *, marks: Sequence[int] = (), unit: bool = True) -> Markup:
    """`points` over the clock in images, numbered lines at `marks`; from 0 to 1 if `unit`."""
    highest = max((value for _, value in points), default=1.0)
    top = max(1.0, highest) if unit else highest or 1.0
    last = max([clock for clock, _ in points] + list(marks), default=1) or 1

    def across(clock: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * clock / last, 1)

    def up(value: float) -> float:
        value = min(max(value, 0.0), top)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 1)

    parts = [_level(up(top * share), f"{top * share:.3g}") for share in (0, 0.25, 0.5, 0.75, 1)]
    for clock in _ticks(last):
        text = _thousands(clock)
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                across(clock), HEIGHT - BOTTOM + 14, text
            )
        )
    for place, clock in enumerate(marks, start=1):
        x = across(clock)
        parts.append(
            Markup(
                '<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
                '<text class="tick" x="{0}" y="{3}" text-anchor="middle">{4}</text>'
            ).format(x, TOP, HEIGHT - BOTTOM, TOP - 3, place)
        )
    path = " ".join(f"{across(clock)},{up(value)}" for clock, value in points)
    parts.append(Markup('<polyline class="line" points="{}"/>').format(path))
    parts += [
        Markup('<circle class="dot" cx="{}" cy="{}" r="2.2"/>').format(across(clock), up(value))
        for clock, value in (points if len(points) <= 60 else points[-1:])
    ]
    end = f", {points[-1][1]:.4g} at the end" if points else ""
    label = f"{name} over the images trained on{end}"
    parts.append(
        Markup('<text class="tick" x="{}" y="{}" text-anchor="end">images</text>').format(
            WIDTH - RIGHT, HEIGHT - 4
        )
    )
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup("").join(parts)
    )


def bar(row: Row) -> Markup:
    """A share from 0 to 1 with its interval, and a tick where real images stand."""

    def at(value: float) -> float:
        return round(100 * min(max(value, 0.0), 1.0), 2)

    parts = [Markup('<rect class="rest" width="100" height="10"/>')]
    if row.value is not None:
        parts.append(Markup('<rect class="bar" width="{}" height="10"/>').format(at(row.value)))
    if row.low is not None and row.high is not None:
        parts.append(
            Markup('<rect class="between" x="{}" y="4" width="{}" height="2"/>').format(
                at(row.low), round(max(at(row.high) - at(row.low), 0.4), 2)
            )
        )
    if row.floor is not None:
        parts.append(
            Markup('<rect class="real" x="{}" width="0.8" height="10"/>').format(
                min(at(row.floor), 99.2)
            )
        )
    return Markup(
        '<svg class="bars" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        "{}</svg>"
    ).format(Markup("").join(parts))


def _level(y: float, text: str) -> Markup:
    return Markup(
        '<line class="level" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
    ).format(LEFT, WIDTH - RIGHT, y, y, LEFT - 5, y + 3.5, escape(text))


def _ticks(last: int) -> list[int]:
    """Round steps, four at most."""
    step = 10 ** math.floor(math.log10(last)) if last >= 1 else 1
    step = next((s for s in (step // 2, step, 2 * step, 5 * step) if s and last / s <= 4.5), last)
    return list(range(0, last + 1, max(1, step)))


def _thousands(clock: int) -> str:
    if clock >= 10_000_000:
        return f"{clock / 1e6:g} M"
    return f"{clock / 1e3:g} k" if clock >= 10_000 else f"{clock:,}"
