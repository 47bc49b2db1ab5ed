"""Schedules as a home keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import schedules
from flows.schedules import Schedule
from ganlib.config import load_recipe
from ganlib.config.overlay import parse
from ganlib.errors import ConfigError, Damaged, NotFound

GOOD: dict[str, Any] = {"name": "night", "config": load_recipe("digits"), "cron": "0 2 * * *"}


def test_what_is_kept_is_read_back_and_forgotten(tmp_path: Path) -> None:
    one = schedules.keep(tmp_path, Schedule(**GOOD, timezone="Europe/Berlin"))
    two = schedules.keep(tmp_path, schedules.changed(one, name="day", cron="0 12 * * *"))
    assert schedules.kept(tmp_path) == (two, one)
    assert schedules.named(tmp_path, "night") == one
    paused = schedules.keep(tmp_path, schedules.changed(one, paused=True))
    assert schedules.named(tmp_path, "night") == paused != one
    schedules.forget(tmp_path, "night")
    assert schedules.kept(tmp_path) == (two,)


@pytest.mark.parametrize("name", ["nihgt", "../night", "", "night" * 100])
def test_a_name_that_is_none_is_told_with_those_there_are(tmp_path: Path, name: str) -> None:
    schedules.keep(tmp_path, Schedule(**GOOD))
    with pytest.raises(NotFound, match="there is no schedule") as caught:
        schedules.named(tmp_path, name)
    assert "night" in caught.value.hint


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    schedules.keep(tmp_path, Schedule(**GOOD))
    file = schedules.folder(tmp_path) / "night.json"
    file.write_text(file.read_text()[:50])
    with pytest.raises(Damaged, match=r"night\.json"):
        schedules.kept(tmp_path)
    with pytest.raises(NotFound, match="'day'"):
        schedules.named(tmp_path, "day")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("timezone", "Europe/Berlim", "did you mean Europe/Berlin"),
        ("cron", "0 2 * *", "five fields"),
        ("cron", "0 0 2 * * *", "five fields"),
        ("cron", "@daily", "five fields"),
        ("overlap", "ignore", "overlap"),
        ("name", "../night", "name"),
        ("work_pool", "", "work_pool"),
    ],
)
def test_a_wrong_value_is_told_by_its_field(field: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        parse(Schedule, GOOD | {field: value})
    assert caught.value.where == field
