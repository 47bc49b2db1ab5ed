"""What runs inside a Ray process: one trial of a sweep, from its plan to its result's file."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.cluster.results import Reason, TrialPlan, TrialResult, score
from ganlib.cluster.rungs import Rungs
from ganlib.cluster.verdicts import Verdicts, to_dict
from ganlib.cluster.worker import speak_into
from ganlib.config import SweepConfig
from ganlib.errors import Collapsed, Diverged, InputError, StorageError
from ganlib.storage import atomic
from ganlib.training import Outcome

OnReading = Callable[[int, dict[str, float]], bool]
Execute = Callable[[TrialPlan, str, OnReading], Outcome]


@dataclass(frozen=True)
class Board:
    """Where the trials of a sweep tell each other of their ends.

    Results in `folder` last; what is in `verdicts` and `lost` counts for this attempt alone.
    """

    folder: Path
    attempt: Path

    def result(self, number: int) -> TrialResult | None:
        try:
            told = atomic.read_json(self._file(number))
        except FileNotFoundError:
            return None
        return TrialResult.model_validate(told)

    def publish(self, result: TrialResult) -> None:
        atomic.write_json(self._file(result.number), result.model_dump(mode="json"))

    def retry_failed(self) -> None:
        """Forget trials that ended in an error: what was at fault may be mended by now."""
        for path in sorted((self.folder / "results").glob("[0-9]*.json")):
            if TrialResult.model_validate(atomic.read_json(path)).reason == "failed":
                path.unlink()

    def lose(self, number: int) -> None:
        """Its process died once too often."""
        atomic.write_json(self.attempt / "lost" / f"{number:04d}.json", {})

    def ended(self, number: int) -> bool:
        """Whether it will come to no further rung."""
        lost = self.attempt / "lost" / f"{number:04d}.json"
        return self._file(number).exists() or lost.exists()

    @property
    def verdicts(self) -> Verdicts:
        """Errors that end the whole sweep."""
        return Verdicts(self.attempt / "verdicts")

    def _file(self, number: int) -> Path:
        return self.folder / "results" / f"{number:04d}.json"


def result_of(folder: Path, number: int) -> TrialResult | None:
    """How trial `number` of the sweep in `folder` ended, if it did; raises Damaged."""
    return Board(folder, folder).result(number)


def run_trial(
    plan: TrialPlan,
    config: SweepConfig,
    board: Board,
    *,
    device: str = "cpu",
    deadline: float | None = None,
    execute: Execute | None = None,
) -> TrialResult | None:
    """The trial's result, published on `board`; none when the whole sweep is to end.

    A run that diverges or collapses is a result, and so, for this attempt, is one that an error of
    the network's own code ends. A full disk and a setting that cannot be are none: they end the
    sweep, and the next one goes on from here; what cannot even be written down is raised.
    `deadline` is in Unix seconds.
    """
    found = board.result(plan.number)
    if found is not None:
        return found
    if board.verdicts.first() is not None:
        return None
    if deadline is not None and time.time() > deadline:
        return _published(board, plan, "wall_time", note="not begun")
    began = time.monotonic()
    judge = _Judge(plan.number, Rungs(board.folder / "rungs", config), board, deadline)
    try:
        outcome = (execute or _execute)(plan, device, judge)
    except Diverged as error:
        return _published(
            board, plan, "diverged", images=error.clock, note=error.message, began=began
        )
    except Collapsed as error:
        return _published(
            board, plan, "collapsed", images=error.clock, note=error.message, began=began
        )
    except _BrokenOff:
        return None
    except (StorageError, InputError) as error:
        traceback.print_exc()
        if not board.verdicts.say(plan.number, error):
            raise
        return None
    except Exception as error:
        traceback.print_exc()
        return _published(board, plan, "failed", note=to_dict(error)["message"], began=began)
    return _published(
        board,
        plan,
        "collapsed" if outcome.collapsed else "wall_time" if judge.too_late else outcome.reason,
        images=outcome.clock,
        note=outcome.collapse if outcome.collapsed else "",
        readings={n: x for n, x in outcome.readings.items() if math.isfinite(x)},
        score=score(outcome.readings, config),
        model=outcome.model,
        began=began,
    )


class _BrokenOff(BaseException):
    """The sweep ends because of another trial; this one keeps its snapshots and no outcome."""


class _Judge:
    """Asked after each evaluation whether the trial stops here; raises _BrokenOff."""

    def __init__(self, number: int, rungs: Rungs, board: Board, deadline: float | None) -> None:
        self.number = number
        self.rungs = rungs
        self.board = board
        self.deadline = deadline
        self.too_late = False

    def __call__(self, clock: int, readings: dict[str, float]) -> bool:
        stops = self.rungs.stops(
            self.number, clock, readings, ended=self.board.ended, give_up=self._gives_up
        )
        if stops:
            return True
        if self.board.verdicts.first() is not None:
            raise _BrokenOff
        self.too_late = self._gives_up()
        return self.too_late

    def _gives_up(self) -> bool:
        late = self.deadline is not None and time.time() > self.deadline
        return late or self.board.verdicts.first() is not None


def _published(
    board: Board, plan: TrialPlan, reason: Reason, *, began: float | None = None, **fields: Any
) -> TrialResult:
    seconds = 0.0 if began is None else time.monotonic() - began
    result = TrialResult(
        number=plan.number, overlay=plan.overlay, reason=reason, seconds=seconds, **fields
    )
    board.publish(result)
    return result


def _execute(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
    from ganlib.training.evaluators import Nobody
    from ganlib.training.execute import execute

    speak_into(Path(plan.spec.run_folder) / "worker-0.log")
    # A trial that waits at a rung for another must not keep its place from it.
    nobody = Nobody("in a sweep all places are the trials'")
    return execute(plan.spec, device=device, on_reading=on_reading, evaluator=nobody)
