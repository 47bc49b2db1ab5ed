"""`ganlib schedule serve` keeps up with schedules that change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from flows import schedules
from flows.schedules import Schedule
from ganlib.cli import serving
from ganlib.config import load_recipe
from ganlib.errors import Busy

NIGHT = Schedule(name="night", config=load_recipe("digits"), cron="0 2 * * *")


def test_a_change_is_told_once_and_again_when_it_could_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    answers = [ConnectionError("not now"), None]

    def tell(home: Path, names: Iterable[str]) -> None:
        told.append(",".join(names))
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(serving, "_tell", tell)
    monkeypatch.setattr(serving, "AGAIN_S", 0.0)
    seen = serving._files(tmp_path)
    assert serving._keep_up(tmp_path, seen) == seen
    schedules.keep(tmp_path, NIGHT)
    assert serving._keep_up(tmp_path, seen) == seen  # not now: it is tried again
    assert "not now" in capsys.readouterr().err
    seen = serving._keep_up(tmp_path, seen)
    assert set(seen) == {"night"}
    assert serving._keep_up(tmp_path, seen) == seen
    schedules.keep(tmp_path, schedules.changed(NIGHT, name="day"))
    answers.append(None)
    serving._keep_up(tmp_path, seen)
    assert told == ["night", "night", "day"]  # night may be paused in Prefect's page


def test_what_is_added_or_removed_while_all_starts_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server is noted down yet then, so whoever adds or removes it can tell none."""
    from flows import orders

    told: list[str] = []
    gone: list[list[str]] = []
    schedules.keep(tmp_path, schedules.changed(NIGHT, name="old"))

    def check() -> None:
        if told or gone:
            raise KeyboardInterrupt

    def start(home: Path, *_: Any) -> tuple[str, list[Any], list[Any]]:
        schedules.keep(home, NIGHT)
        schedules.forget(home, "old")
        return "http://127.0.0.1:1", [check], []

    monkeypatch.setattr(serving, "_start", start)
    monkeypatch.setattr(serving, "_tell", lambda home, names: told.extend(names))
    monkeypatch.setattr(orders, "withdraw_gone", lambda home, names: gone.append(names))
    monkeypatch.setattr(serving, "LOOK_S", 0.0)
    watch = serving.serve(tmp_path, 0, 1).after
    assert watch is not None
    with pytest.raises(KeyboardInterrupt):
        watch()
    assert (told, gone) == (["night"], [["night"]])


def test_one_serves_a_home(tmp_path: Path) -> None:
    with serving._alone(tmp_path), pytest.raises(Busy, match="serving schedules"):
        serving.serve(tmp_path, 0, 1)


def test_one_that_cannot_be_read_keeps_no_other_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows import orders

    deployed: list[str] = []
    monkeypatch.setattr(orders, "deploy", lambda one, home: deployed.append(one.name))
    monkeypatch.setattr(orders, "heard", lambda one, home: one)
    monkeypatch.setattr(orders, "catch_up", lambda one, now: [])
    for name, pool in (("broken", "ganlib"), ("night", "ganlib"), ("away", "gpu")):
        schedules.keep(tmp_path, schedules.changed(NIGHT, name=name, work_pool=pool))
    (schedules.folder(tmp_path) / "broken.json").write_text("{")
    serving._tell(tmp_path, schedules.names(tmp_path))
    assert deployed == ["night"]
    assert "schedule broken is left as it was" in capsys.readouterr().err
    assert serving._ours(tmp_path) == ["broken", "night"]
    schedules.forget(tmp_path, "broken")
    assert schedules.names(tmp_path) == ["away", "night"]
