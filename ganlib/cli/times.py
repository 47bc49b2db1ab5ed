"""Days and spans as they are typed."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

from ganlib.errors import ConfigError

FIRST, LAST = 1970, 2199
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
LONGEST = timedelta(days=366)


class Day(click.DateTime):
    """A day as 2026-11-20, of a year that clocks can be counted in."""

    def __init__(self) -> None:
        super().__init__(formats=["%Y-%m-%d"])

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        found: datetime = super().convert(value, param, ctx)
        if not FIRST <= found.year <= LAST:
            self.fail(f"{value!r} is not between {FIRST} and {LAST}.", param, ctx)
        return found


def span(text: str, where: str) -> timedelta:
    """`90m`, `3h` or `1d`. Raises ConfigError naming the option, for one beyond a year too."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([mhd])", text.strip())
    try:
        told = timedelta(**{UNITS[found[2]]: float(found[1])}) if found else timedelta()
    except OverflowError:
        told = timedelta()
    if not timedelta() < told <= LONGEST:
        raise ConfigError(
            f"{where} {text!r} is no span of up to a year", where=where, hint="as 90m, 3h or 1d"
        )
    return told
