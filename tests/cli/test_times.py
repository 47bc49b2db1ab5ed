"""Days and spans as they are typed."""

from __future__ import annotations

from datetime import datetime, timedelta

import click
import pytest

from ganlib.cli.times import Day, span
from ganlib.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "told"),
    [("90m", timedelta(hours=1.5)), (" 3h ", timedelta(hours=3)), ("1.5d", timedelta(hours=36))],
)
def test_a_span_is_read(text: str, told: timedelta) -> None:
    assert span(text, "--duration") == told


@pytest.mark.parametrize("text", ["", "3", "-1h", "0h", "9" * 20 + "d", "367d", "1e9d", "3 h"])
def test_what_is_no_span_of_up_to_a_year_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no span of up to a year") as caught:
        span(text, "--duration")
    assert caught.value.where == "--duration"


def test_a_day_is_read_and_one_beyond_the_clocks_is_refused() -> None:
    day = Day()
    assert day.convert("2026-11-20", None, None) == datetime(2026, 11, 20)
    for text in ("0001-01-01", "9999-12-31", "2026-02-30", "yesterday"):
        with pytest.raises(click.BadParameter):
            day.convert(text, None, None)
