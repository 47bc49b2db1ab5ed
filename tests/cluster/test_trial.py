"""A trial's end, whatever it is, is a result or ends the sweep."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ganlib.cluster import TrialPlan
from ganlib.cluster.trial import Board, OnReading, run_trial
from ganlib.config import ClassifierConfig, SweepConfig
from ganlib.errors import Collapsed, ConfigError, Diverged, StorageError
from ganlib.training import Outcome, RunSpec

CONFIG = SweepConfig(target="classifier", images=4_000)


def plan(number: int) -> TrialPlan:
    spec = RunSpec.of(
        ClassifierConfig(), dataset_folder="/none", dataset_fingerprint="0", run_folder="/none"
    )
    return TrialPlan(number=number, overlay={"classifier.seed": number}, spec=spec)


def board(folder: Path) -> Board:
    return Board(folder, folder / "attempt")


def good(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
    readings = {"accuracy": 0.5 + plan.number / 10}
    reason = "stopped" if on_reading(4_000, readings) else "budget"
    return Outcome(clock=4_000, reason=reason, readings=readings, model="/model")


def never(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
    raise AssertionError("asked twice")


def test_a_finished_trial_answers_from_its_result(tmp_path: Path):
    first = run_trial(plan(0), CONFIG, board(tmp_path), execute=good)
    assert first is not None
    assert (first.reason, first.score, first.images) == ("budget", 0.5, 4_000)
    assert run_trial(plan(0), CONFIG, board(tmp_path), execute=never) == first


def test_a_trial_that_ended_collapsed_cannot_win(tmp_path: Path):
    """It was recorded, and trained on to the end of its budget."""
    told = "collapsed (pixels/repeated) since 1,000 images"

    def recorded(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
        return good(plan, device, on_reading).model_copy(update={"verdict": told, "collapse": told})

    result = run_trial(plan(1), CONFIG, board(tmp_path), execute=recorded)
    assert result is not None
    assert (result.reason, result.note, result.ended_well) == ("collapsed", told, False)


@pytest.mark.parametrize(
    ("error", "reason", "images"),
    [
        (Diverged(640, "loss"), "diverged", 640),
        (Collapsed(640, "collapsed (pixels/repeated)"), "collapsed", 640),
        (ZeroDivisionError("by zero"), "failed", 0),
    ],
)
def test_an_error_of_its_own_is_a_result(tmp_path: Path, error, reason: str, images: int):
    def fails(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
        raise error

    result = run_trial(plan(1), CONFIG, board(tmp_path), execute=fails)
    assert result is not None
    assert (result.reason, result.images, result.score) == (reason, images, None)
    assert str(error).splitlines()[0] in result.note
    assert not result.ended_well


@pytest.mark.parametrize("kind", [StorageError, ConfigError])
def test_a_full_disk_or_a_wrong_setting_ends_the_sweep_and_leaves_no_result(tmp_path: Path, kind):
    def fails(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
        raise kind("disk is full", where="/x", hint="make room")

    here = board(tmp_path)
    assert run_trial(plan(0), CONFIG, here, execute=fails) is None
    assert run_trial(plan(1), CONFIG, here, execute=never) is None
    told = here.verdicts.first()
    assert isinstance(told, kind)
    assert (told.message, told.hint) == ("disk is full", "make room")
    again = Board(tmp_path, tmp_path / "attempt-2")
    assert run_trial(plan(0), CONFIG, again, execute=good) is not None


def test_a_trial_broken_off_by_another_keeps_no_outcome(tmp_path: Path):
    here = board(tmp_path)

    def goes_on(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
        here.verdicts.say(0, StorageError("disk is full"))
        on_reading(1_000, {"accuracy": 0.9})
        raise AssertionError("whoever comes back from here writes an outcome")

    assert run_trial(plan(1), CONFIG, here, execute=goes_on) is None
    again = Board(tmp_path, tmp_path / "attempt-2")
    assert run_trial(plan(1), CONFIG, again, execute=good) is not None


def test_an_error_that_cannot_be_written_down_is_raised(tmp_path: Path):
    (tmp_path / "attempt").mkdir()
    (tmp_path / "attempt" / "verdicts").touch()  # no folder: nothing can be written below it

    def fails(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
        raise StorageError("disk is full")

    with pytest.raises(StorageError, match="disk is full"):
        run_trial(plan(0), CONFIG, board(tmp_path), execute=fails)


def test_the_next_sweep_asks_again_what_failed_and_nothing_else(tmp_path: Path):
    def breaks(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
        raise ZeroDivisionError("by zero")

    here = board(tmp_path)
    run_trial(plan(0), CONFIG, here, execute=good)
    run_trial(plan(1), CONFIG, here, execute=breaks)
    assert run_trial(plan(1), CONFIG, here, execute=never).reason == "failed"  # this attempt
    again = Board(tmp_path, tmp_path / "attempt-2")
    again.retry_failed()
    assert run_trial(plan(0), CONFIG, again, execute=never).reason == "budget"
    assert run_trial(plan(1), CONFIG, again, execute=good).score == 0.6


def test_after_the_deadline_nothing_begins_and_nothing_waits(tmp_path: Path):
    late = run_trial(plan(0), CONFIG, board(tmp_path), deadline=time.time() - 1, execute=never)
    assert late is not None
    assert (late.reason, late.images) == ("wall_time", 0)

    def slow(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
        readings = {"accuracy": 0.9}
        assert on_reading(1_000, readings) is False
        clock, stopped = 1_000, False
        while not stopped:  # trial 1 has recorded nothing: only the deadline ends this
            clock += 1_000
            stopped = on_reading(clock, readings)
        return Outcome(clock=clock, reason="stopped", readings=readings, model="/model")

    result = run_trial(
        plan(2), CONFIG, board(tmp_path / "b"), deadline=time.time() + 0.2, execute=slow
    )
    assert result is not None
    assert (result.reason, result.score) == ("wall_time", 0.9)


def test_a_lost_trial_holds_nobody_up(tmp_path: Path):
    here = board(tmp_path)
    here.lose(0)
    config = SweepConfig(target="classifier", images=40_000)

    def short(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
        reason = "stopped" if on_reading(10_000, {"accuracy": 0.1}) else "budget"
        return Outcome(clock=10_000, reason=reason, readings={"accuracy": 0.1}, model="/model")

    result = run_trial(plan(1), config, here, execute=short)
    assert result is not None
    assert result.reason == "budget"
