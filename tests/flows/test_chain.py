"""Which settings each stage is given, with the stages themselves left out."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import chain, tasks
from flows.scheduled import seed_of
from ganlib.cluster.holdings import Holdings, Release
from ganlib.config import load_recipe, overlay
from ganlib.stages import pipelines
from ganlib.stages.values import StageResult
from ganlib.storage import Home, write_json

STAGES = ("prepare", "classifiers", "sweep", "gan", "evaluate", "promote")


@pytest.mark.parametrize("seed", [None, 29_000_000])
def test_a_seed_of_the_date_reaches_the_gan_and_not_the_sweep(
    seed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def standing_in(stage: str) -> Any:
        def task(place: Any, config: Any, *rest: Any) -> StageResult[Any]:
            seen[stage] = config
            return StageResult(stage, "k", SimpleNamespace(), False, 0.0, "r", "p")

        return task

    for stage in STAGES:
        monkeypatch.setattr(tasks, stage, standing_in(stage))
    monkeypatch.setattr(chain.api, "ready", lambda *args, **rest: None)
    monkeypatch.setattr(chain, "_foretell", lambda *args: None)
    config = load_recipe("digits")
    progress = chain._Progress("p", "/home", config)
    place = tasks.Place(home="/home", fresh=False, pipeline="p", flow_run_id=None)
    chain._stages(progress, place, config, "promote", True, "", seed, "nothing")
    assert tuple(seen) == STAGES
    changed = {stage for stage in STAGES if seen[stage] != config}
    assert changed == (set() if seed is None else {"gan", "evaluate", "promote"})
    assert seed is None or {seen[stage].gan.seed for stage in changed} == {seed}


def test_a_run_that_is_cancelled_twice_shows_what_it_released_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, config = Home.open(tmp_path / "home"), load_recipe("digits")
    pipeline = pipelines.begin(home, config, command="run")
    shown: list[list[str]] = []
    monkeypatch.setattr(
        chain.publish, "releases", lambda _, found: shown.append([one.job for one in found])
    )

    def released(number: int, free: float) -> None:
        job = f"{pipeline}.gan-1.{number}"
        held = Holdings(used={}, total={}, placement_groups=(), processes=(), at=free)
        told = Release(
            job=job,
            before=held,
            after=held,
            seconds_to_stop=1.0,
            seconds=1.0,
            free=free,
            released=True,
        )
        write_json(home.runs / "jobs" / job / "release.json", told.model_dump(mode="json"))

    def cancelled(number: int | None) -> None:
        with chain._true_end(pipeline, str(home.root), config):
            if number:
                released(number, time.time())
            raise KeyboardInterrupt

    released(1, time.time() - 3600)
    for number in (None, 2):
        with pytest.raises(KeyboardInterrupt):
            cancelled(number)
    assert shown == [[], [f"{pipeline}.gan-1.2"]]


def test_the_same_date_is_the_same_seed_and_the_next_another() -> None:
    night, next_night = (datetime(2026, 6, day, 2, tzinfo=UTC) for day in (1, 2))
    assert seed_of(night) == seed_of(night.astimezone()) != seed_of(next_night)
    last = datetime(2100, 1, 1, tzinfo=UTC)
    assert overlay(load_recipe("digits"), {"gan.seed": seed_of(last)}).gan.seed == seed_of(last)
