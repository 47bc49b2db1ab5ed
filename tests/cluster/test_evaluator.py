"""Looks as Ray tasks: the same readings and weights, whoever is killed, with room and without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ganlib.cluster import TrialPlan, end_leftovers, fit, sweep
from ganlib.config import Budget, Cadence, GanConfig, SweepConfig
from ganlib.data import Dataset
from ganlib.models import load_model
from ganlib.training import GanProblem, Outcome, RunSpec, read_journal
from ganlib.training.execute import execute
from tests.cluster.conftest import CLUSTER, small_classifier, small_gan, spec_of
from tests.cluster.test_fit import told, writes_to
from tests.cluster.tiny import until

pytestmark = pytest.mark.usefixtures("ray_up")
CLOCKS = [640, 1_280, 1_920, 2_560, 3_200]


def gan(**changes: Any) -> GanConfig:
    cadence = Cadence(report=320, evaluate=640, sample=1_280, snapshot=320)
    return small_gan(budget=Budget(images=3_200), cadence=cadence, **changes)


@pytest.fixture(scope="module")
def selector(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    return execute(spec_of(small_classifier(), digits, tmp_path_factory.mktemp("selector"))).model


@pytest.fixture(scope="module")
def inside(digits: Dataset, selector: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """By one process without Ray."""
    spec = spec_of(gan(), digits, tmp_path_factory.mktemp("inside"))
    return execute(spec.model_copy(update={"selector": selector}))


def beside(digits: Dataset, selector: str, folder: Path) -> RunSpec:
    spec = spec_of(gan(evaluate="beside"), digits, folder / "run")
    return told(spec.model_copy(update={"selector": selector}), folder / "spool")


def killing(log: Path, when: Callable[[], bool]) -> tuple[threading.Thread, list[int]]:
    """The process that writes to `log` is killed, once, after `when`."""
    killed: list[int] = []

    def kill() -> None:
        until(when)
        until(lambda: bool(writes_to(log)))
        for pid in writes_to(log):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread, killed


def assert_same_outcome(ours: Outcome, theirs: Outcome) -> None:
    assert (ours.clock, ours.reason) == (theirs.clock, theirs.reason)
    assert ours.series == theirs.series
    a, b = (load_model(Path(o.model)).module.state_dict() for o in (ours, theirs))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def notes(folder: Path) -> list[str]:
    lines = read_journal(folder / "spool" / "run.jsonl")
    return [line["text"] for line in lines if line["kind"] == "note"]


def test_readings_are_those_of_inside_and_told_in_order(
    tmp_path: Path, digits: Dataset, selector: str, inside: Outcome
) -> None:
    outcome = fit(beside(digits, selector, tmp_path), CLUSTER, workers=1)
    assert_same_outcome(outcome, inside)
    assert notes(tmp_path) == []
    lines = list(read_journal(tmp_path / "spool" / "run.jsonl"))
    evaluated = [
        line["clock"]
        for line in lines
        if line["kind"] == "metrics" and "eval/coverage" in line["values"]
    ]
    assert evaluated == CLOCKS
    assert [x["clock"] for x in lines if x["kind"] == "image"] == [0, 1_280, 2_560, 3_200]
    assert (tmp_path / "run" / "evaluator.log").exists()
    assert not (tmp_path / "run" / "evaluating").exists()


@pytest.mark.slow
def test_a_killed_evaluator_is_asked_again(
    tmp_path: Path, digits: Dataset, selector: str, inside: Outcome
) -> None:
    thread, killed = killing(tmp_path / "run" / "evaluator.log", lambda: True)
    outcome = fit(beside(digits, selector, tmp_path), CLUSTER, workers=1)
    thread.join()
    assert len(killed) == 1
    assert notes(tmp_path) == []
    assert_same_outcome(outcome, inside)


@pytest.mark.slow
def test_a_killed_trainer_asks_again_for_what_it_waited_for(
    tmp_path: Path, digits: Dataset, selector: str, inside: Outcome
) -> None:
    run = tmp_path / "run"
    first = run / "snapshots" / "000000000960" / "meta.json"
    thread, killed = killing(run / "worker-0.log", first.exists)
    outcome = fit(beside(digits, selector, tmp_path), CLUSTER, workers=1)
    thread.join()
    assert len(killed) == 1
    assert [note.split(" at ")[0] for note in notes(tmp_path)] == ["resumed"]
    assert_same_outcome(outcome, inside)
    assert not (run / "evaluating").exists()


@pytest.mark.slow
def test_killed_with_driver_trainer_and_evaluator_it_continues_to_the_same(
    tmp_path: Path, digits: Dataset, selector: str, inside: Outcome
) -> None:
    spec = beside(digits, selector, tmp_path)
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    command = [sys.executable, "-m", "tests.cluster.driver", "spec", str(tmp_path)]
    driver = subprocess.Popen(command)
    until((tmp_path / "run" / "snapshots" / "000000000960" / "meta.json").exists)
    driver.kill()
    driver.wait()
    end_leftovers(tmp_path)
    assert not (tmp_path / "run" / "outcome.json").exists()
    outcome = fit(spec, CLUSTER, workers=1)
    assert any(note.startswith("resumed at") for note in notes(tmp_path))
    assert_same_outcome(outcome, inside)


@pytest.mark.slow
def test_where_workers_take_all_there_is_it_is_done_inside_and_said(
    tmp_path: Path, digits: Dataset, selector: str
) -> None:
    cores = max(2, len(os.sched_getaffinity(0)))
    outcome = fit(beside(digits, selector, tmp_path), CLUSTER, workers=cores)
    assert [clock for clock, _ in outcome.series] == CLOCKS
    assert notes(tmp_path) == [
        "evaluated inside after all, at 640 images: the cluster has no room for 1 CPU more"
    ]


def test_trials_are_evaluated_inside_and_decide_as_late(
    tmp_path: Path, digits: Dataset, selector: str, inside: Outcome
) -> None:
    """The second is stopped at 1,280 images by what both had at 640, on each run of the sweep."""
    config = SweepConfig(trials=2, images=3_200, concurrent=2, asha={"grace_images": 640})
    found = []
    for name in ("a", "b"):
        plans = []
        for number, rate in enumerate((1e-3, 1e-6)):
            spec = beside(digits, selector, tmp_path / name / str(number))
            problem = GanProblem(config=slow(rate))
            plans.append(
                TrialPlan(number=number, spec=spec.model_copy(update={"problem": problem}))
            )
        results = sweep(plans, config, CLUSTER, tmp_path / name)
        found.append([(r.reason, r.images, r.readings) for r in results])
        assert notes(tmp_path / name / "0") == [
            "evaluated inside after all, at 640 images: in a sweep all places are the trials'"
        ]
    assert found[0] == found[1]
    assert found[0][0] == ("budget", 3_200, inside.readings)
    assert found[0][1][:2] == ("stopped", 1_280)


def slow(rate: float) -> GanConfig:
    config = gan(evaluate="beside")
    optimiser = config.generator.optimiser.model_copy(update={"learning_rate": rate})
    generator = config.generator.model_copy(update={"optimiser": optimiser})
    return config.model_copy(update={"generator": generator})
