"""`ganlib schedule serve` keeps up with schedules that change."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import schedules
from flows.schedules import Schedule
from ganlib.cli import serving
from ganlib.config import load_recipe


def test_a_change_is_told_once_and_again_when_it_could_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    answers = [ConnectionError("not now"), None]

    def tell(home: Path) -> None:
        told.append(",".join(one.name for one in schedules.kept(home)))
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(serving, "_tell", tell)
    monkeypatch.setattr(serving, "AGAIN_S", 0.0)
    seen = serving._files(tmp_path)
    assert serving._keep_up(tmp_path, seen) == seen
    schedules.keep(tmp_path, Schedule(name="night", config=load_recipe("digits"), cron="0 2 * * *"))
    assert serving._keep_up(tmp_path, seen) == seen  # not now: it is tried again
    assert "not now" in capsys.readouterr().err
    seen = serving._keep_up(tmp_path, seen)
    assert set(seen) == {"night.json"}
    assert serving._keep_up(tmp_path, seen) == seen
    assert told == ["night", "night"]
