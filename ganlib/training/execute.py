"""One run from its spec to its outcome, on any number of ranks; resumed, if it was begun before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import torch

from ganlib.config import parse
from ganlib.determinism import Replicas
from ganlib.errors import Collapsed, ConfigError
from ganlib.storage import read_json
from ganlib.training import rescue
from ganlib.training.beginning import begin
from ganlib.training.evaluators import Evaluator
from ganlib.training.journal import Journal, NullTracker, Tracker
from ganlib.training.loop import Done, Evaluate, Moment, Report, Sample, Snapshot
from ganlib.training.memory import keep_freed
from ganlib.training.session import Session, belongs_to, identity
from ganlib.training.spec import GanProblem, Outcome, Reason, RunSpec
from ganlib.training.stops import Reading, on_plateau
from ganlib.training.stopwatch import Stopwatch

OnReading = Callable[[int, dict[str, float]], bool]
OnMoment = Callable[[Moment], None]


def execute(
    spec: RunSpec,
    replicas: Replicas = Replicas(),  # noqa: B008
    *,
    device: str = "cpu",
    tracker: Tracker | None = None,
    on_reading: OnReading | None = None,
    on_moment: OnMoment | None = None,
    evaluator: Evaluator | None = None,
    leaving: Callable[[], bool] | None = None,
) -> Outcome:
    """Train until the budget, a plateau, the wall time or `on_reading` ends it.

    Every rank calls it with its own replicas and otherwise the same arguments. The newest whole
    snapshot in `run_folder` is where it goes on; a finished run answers from its outcome.
    `on_reading(clock, readings)` is asked on rank 0 once readings count, and stops the run by
    returning true; `on_moment` is called on every rank, equally often, and so is `leaving`: a
    snapshot is saved as soon as it says that a node is to go. With `evaluate: beside`
    readings and pictures are taken by `evaluator`, by a child process if none is given and there is
    a core for it. Readings go to the tracker as `eval/<name>` and `train/<name>`, and without one
    to the journal in `spec.spool`; the run's end is told by whoever owns it, not here. A GAN is
    watched for collapse, told as `collapse/<name>`. Raises Diverged, Collapsed where its settings
    say so and it did, ConfigError and Damaged.

        spec = RunSpec.of(
            GanConfig(budget=Budget(images=20_000)),
            dataset_folder=str(dataset.folder),
            dataset_fingerprint=dataset.fingerprint,
            run_folder="run",
        )
        outcome = execute(spec, tracker=MemoryTracker())
        generator = load_model(Path(outcome.model)).module
    """
    torch.set_num_threads(spec.threads)
    keep_freed()
    tracker = tracker or _journal(spec, replicas)
    while True:
        attempts = rescue.made(spec)
        now = rescue.applied(spec, attempts)
        finished = _finished(now)
        replicas.barrier()  # nobody writes before everybody has looked
        if finished is not None:
            return _unless_collapsed(finished)
        session = begin(now, replicas, torch.device(device), tracker, evaluator, attempts)
        try:
            with session.arithmetic.products():
                return _unless_collapsed(_train(session, on_reading, on_moment, leaving))
        except _Again as again:
            if replicas.rank == 0:
                rescue.note(spec, (*attempts, again.attempt))
                tracker.artifact(Path(spec.run_folder) / rescue.FILE, "rescue")
            number = len(attempts) + 1
            tracker.note(f"rescue {number}, as it {again.attempt}")
            tracker.tags({f"ganlib.rescue.{number}": str(again.attempt)})
            replicas.barrier()
        finally:
            session.looking.close()


class _Again(Exception):
    """A collapsed run is to go on from before, by another policy."""

    def __init__(self, attempt: rescue.Attempt) -> None:
        super().__init__(str(attempt))
        self.attempt = attempt


def _finished(spec: RunSpec) -> Outcome | None:
    """The outcome that is there; raises ConfigError if it is another run's."""
    path = Path(spec.run_folder) / "outcome.json"
    if not path.exists() or not (path.parent / "model" / "network.json").exists():
        return None
    told = read_json(path)
    if told["fingerprint"] != identity(belongs_to(spec)):
        raise ConfigError(
            f"{path} is the outcome of another configuration",
            where=spec.run_folder,
            hint="give another run folder, or start anew with --fresh",
        )
    return parse(Outcome, told["outcome"] | {"model": str(path.parent / "model")}, str(path))


def _unless_collapsed(outcome: Outcome) -> Outcome:
    """Raises Collapsed for a run that was stopped for it: no stage makes a model of that."""
    if outcome.reason == "collapsed":
        raise Collapsed(outcome.clock, outcome.collapse)
    return outcome


def _journal(spec: RunSpec, replicas: Replicas) -> Tracker:
    if replicas.rank or spec.spool is None or spec.identity is None:
        return NullTracker()
    return Journal(Path(spec.spool) / f"{spec.identity.id}.jsonl", spec.identity)


def _train(
    session: Session,
    on_reading: OnReading | None,
    on_moment: OnMoment | None,
    leaving: Callable[[], bool] | None,
) -> Outcome:
    if session.ended is not None:
        return session.finish(session.start, session.ended)
    limit = session.spec.config.budget.wall_minutes
    watch = Stopwatch(Path(session.spec.run_folder) / "elapsed.json", session.start)
    for moment in session.moments(leaving):
        watch.pause()
        clock, ended = moment.clock, None
        match moment:
            case Report(values=values):
                session.report(clock, values | {"images_per_second": watch.speed(clock)})
                session.tell_early()
                ended = session.watch_collapse(clock)
                if limit is not None:
                    late = session.agreed("wall_time", watch.minutes() >= limit)
                    ended = ended or late
            case Evaluate():
                ended = _decide(session, session.evaluate(clock), on_reading)
            case Sample():
                session.sample(clock)
            case Snapshot():
                session.save(clock, None)
            case Done():
                ended = _decide(session, session.rest(), on_reading) or "budget"
            case _:
                assert_never(moment)
        if on_moment is not None and not isinstance(moment, Done):
            on_moment(moment)
        if ended == "collapsed" and (attempt := session.rescued(clock)) is not None:
            raise _Again(attempt)
        outcome = None if ended is None else session.finish(clock, ended)
        watch.resume()
        if outcome is not None or isinstance(moment, Snapshot):
            watch.save(session.replicas.rank)
        if outcome is not None:
            return outcome
    raise AssertionError("the loop ended without Done")


def _decide(
    session: Session, counting: list[Reading], on_reading: OnReading | None
) -> Reason | None:
    """Why the run ends here, going by the readings that have just begun to count, or none."""
    problem, first = session.spec.problem, session.replicas.rank == 0
    plateau = problem.config.plateau if isinstance(problem, GanProblem) else None
    ended = None
    for clock, readings in counting:
        if plateau is not None:
            ended = ended or session.agreed("plateau", on_plateau(session.series, plateau))
        if on_reading is not None:
            ended = ended or session.agreed("stopped", first and on_reading(clock, readings))
    return ended
