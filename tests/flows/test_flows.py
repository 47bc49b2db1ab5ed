"""A flow on a real server: states, artifacts and events as people and automations see them."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ganlib.config import Folder, load, load_recipe, overlay
from ganlib.errors import ConfigError, DataError


def ask(path: str, body: dict[str, Any]) -> Any:
    from prefect.settings import PREFECT_API_URL

    request = urllib.request.Request(
        f"{PREFECT_API_URL.value()}/{path}",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_a_stage_runs_alone_and_is_reused(prefect_home: Path) -> None:
    from flows.prepare import prepare

    config = load_recipe("digits")
    first = prepare(config, home=str(prefect_home))
    again = prepare(config, home=str(prefect_home))
    assert [stage.reused for stage in first.stages] == [False]
    assert [stage.reused for stage in again.stages] == [True]
    assert first.dataset == again.dataset
    assert first.pipeline != again.pipeline
    runs = ask("flow_runs/filter", {"flow_runs": {"name": {"any_": ["digits"]}}})
    assert [run["state_name"] for run in runs] == ["Completed", "Completed"]
    artifacts = ask("artifacts/latest/filter", {})
    assert {"ganlib-digits-stages", "ganlib-digits-result"} <= {a["key"] for a in artifacts}


def test_a_wrong_parameter_is_refused_with_its_path(prefect_home: Path) -> None:
    from prefect.exceptions import ParameterTypeError

    from flows.prepare import prepare

    wrong = load_recipe("digits").model_dump(mode="json")
    wrong["data"]["size"] = "large"
    with pytest.raises(ParameterTypeError, match=r"config\.data\.size"):
        prepare(wrong, home=str(prefect_home))  # type: ignore[arg-type]


def test_bad_images_fail_once_and_as_themselves(prefect_home: Path, tmp_path: Path) -> None:
    from flows.prepare import prepare

    (tmp_path / "empty").mkdir()
    config = overlay(load_recipe("digits"), {"name": "empty"})
    source = Folder(path=str(tmp_path / "empty"))
    config = config.model_copy(update={"data": config.data.model_copy(update={"source": source})})
    before = time.monotonic()
    with pytest.raises(DataError):
        prepare(config, home=str(prefect_home))
    assert time.monotonic() - before < 30
    (run,) = ask("flow_runs/filter", {"flow_runs": {"name": {"any_": ["empty"]}}})
    assert run["state_type"] == "FAILED"
    records = [json.loads(p.read_text()) for p in (prefect_home / "runs/pipelines").glob("*.json")]
    assert [r["status"] for r in records if r["name"] == "empty"] == ["FAILED"]


def test_few_images_are_prepared_and_refused_before_training(
    prefect_home: Path, tmp_path: Path
) -> None:
    from flows.prepare import prepare
    from flows.train import train

    for number in range(24):
        place = tmp_path / "few" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number * 9, 0, 0)).save(place)
    config = load(str(tmp_path / "few"))
    assert prepare(config, home=str(prefect_home)).dataset is not None
    with pytest.raises(ConfigError, match="the validation split has"):
        train(config, home=str(prefect_home))


def test_a_flow_that_nobody_checked_before_refuses_before_any_work(
    prefect_home: Path, tmp_path: Path
) -> None:
    from flows.train import train

    config = overlay(load_recipe("digits"), {"gan.init_from": "models:/nobody/1"})
    with pytest.raises(ConfigError, match=r"gan\.init_from"):
        train(config.model_copy(update={"name": "unchecked"}), home=str(prefect_home))
    (run,) = ask("flow_runs/filter", {"flow_runs": {"name": {"any_": ["unchecked"]}}})
    assert run["state_type"] == "FAILED"
    tasks = ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert tasks == []


def test_a_refusal_is_a_state_with_its_own_name_and_an_event(prefect_home: Path) -> None:
    from prefect import flow

    from flows import publish
    from flows.chain import PipelineResult, StageReport
    from flows.endings import ended
    from ganlib.stages.values import Decision, RegisteredModel

    model = RegisteredModel(
        name="digits-generator", version="2", uri="models:/digits-generator/2",
        aliases=("candidate",), verdict="refused",
    )  # fmt: skip
    decision = Decision(
        verdict="refused", reasons=("Coverage fell.",), generator=model, judge=model
    )
    stage = StageReport(stage="promote", key="k", run="r", reused=False, seconds=1.0, took=1.0)
    done = PipelineResult(
        pipeline="p-000000000000",
        home=str(prefect_home),
        name="digits",
        stages=(stage,),
        decision=decision,
    )

    @flow(name="refused", persist_result=False)
    def refused() -> Any:
        publish.result(load_recipe("digits"), done)
        return ended(lambda: done)

    assert refused() == done
    (run,) = ask("flow_runs/filter", {"flows": {"name": {"any_": ["refused"]}}})
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "NotPromoted")
    assert "Coverage fell." in run["state"]["message"]
    end = time.monotonic() + 30
    events: list[Any] = []
    while not events and time.monotonic() < end:
        time.sleep(0.2)
        events = ask("events/filter", {"filter": {"event": {"name": ["ganlib.refused"]}}})["events"]
    assert events[0]["payload"]["reasons"] == ["Coverage fell."]
    assert events[0]["resource"]["prefect.resource.id"] == "ganlib.pipeline.p-000000000000"


def test_every_recipe_is_offered_with_its_settings(prefect_home: Path) -> None:
    from flows.deployments import deployments
    from ganlib.config import PipelineConfig, recipe_names

    offered = deployments(prefect_home)
    assert [d.name for d in offered] == list(recipe_names())
    for one in offered:
        assert one.entrypoint == "flows.pipeline.pipeline"
        assert PipelineConfig.model_validate(one.parameters["config"]) == load_recipe(one.name)
    # All go to the server from infra/prefect.yaml in test_deployments.py.
    assert offered[0].apply()


def test_a_killed_flow_run_is_crashed_by_the_next_one(prefect_home: Path, tmp_path: Path) -> None:
    from prefect import flow
    from prefect.runtime import flow_run

    from flows import remains

    states: list[str] = []

    @flow(name="left", persist_result=False)
    def left() -> None:
        note = tmp_path / f"{flow_run.id}.json"
        note.write_text(
            json.dumps({"pid": 2**22 + 1, "started": 1.0, "host": socket.gethostname()})
        )
        assert remains.bury(tmp_path) == [flow_run.id]
        assert remains.bury(tmp_path) == []
        (run,) = ask("flow_runs/filter", {"flows": {"name": {"any_": ["left"]}}})
        states.append(run["state_type"])

    left()
    assert states == ["CRASHED"]


def test_a_run_that_is_tried_again_does_not_close_itself(tmp_path: Path) -> None:
    from flows import remains

    note = tmp_path / "mine.json"
    note.write_text(json.dumps({"pid": 2**22 + 1, "started": 1.0, "host": socket.gethostname()}))
    assert remains.bury(tmp_path, "mine") == []
    assert note.exists()


@pytest.mark.parametrize(("silent_s", "dead"), [(540, False), (660, True)])
def test_on_another_host_silence_tells(tmp_path: Path, silent_s: float, dead: bool) -> None:
    from flows import remains

    note = tmp_path / "there.json"
    note.write_text(json.dumps({"pid": 1, "started": 1.0, "host": "another"}))
    moment = time.time() - silent_s
    os.utime(note, (moment, moment))
    assert remains._dead(note) is dead


def test_a_run_touches_its_note(
    prefect_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import remains

    monkeypatch.setattr(remains, "BEAT_S", 0.01)
    name = "00000000-0000-0000-0000-000000000001"
    with remains.noted(tmp_path, name):
        note = tmp_path / "prefect" / "running" / f"{name}.json"
        os.utime(note, (1.0, 1.0))
        end = time.monotonic() + 30
        while note.stat().st_mtime < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert time.time() - note.stat().st_mtime < 60


def test_a_living_flow_run_is_left_alone(prefect_home: Path, tmp_path: Path) -> None:
    from flows import remains

    folder = tmp_path / "prefect" / "running"
    with remains.noted(tmp_path, "00000000-0000-0000-0000-000000000000"):
        assert remains.bury(folder) == []
        assert len(list(folder.iterdir())) == 1
    assert list(folder.iterdir()) == []
