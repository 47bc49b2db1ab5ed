"""One run under way: what it is made of, and what is done at each moment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlib.collapse import Verdict
from ganlib.config import GanConfig, Record, Rescue, fingerprint
from ganlib.data import Images, StoredImages
from ganlib.determinism import Replicas
from ganlib.errors import Diverged, NotFinite
from ganlib.storage import write_json
from ganlib.training import forensics, precision, rescue
from ganlib.training.guard import Guard
from ganlib.training.journal import Tracker
from ganlib.training.looking import Evaluated, Looking, Picture
from ganlib.training.loop import Moment, Plan, Task, run
from ganlib.training.rescue import Attempt
from ganlib.training.snapshots import ELASTIC, Snapshots
from ganlib.training.spec import Outcome, Reason, RunSpec
from ganlib.training.stops import Reading, stalled

PLAY = ("win_rate", "slope_generator")


@dataclass
class Session:
    """`series` are the readings so far, `play` how the players stood beside each of them.

    With the task's state, and what `looking` and `guard` remember, they are all there is of a run;
    `window` is the last report's, `looked` the clock of the last evaluation that was asked for.
    `attempts` are a rescue's so far; `titles` are further names of the pictures at some clocks.
    """

    spec: RunSpec
    replicas: Replicas
    task: Task
    plan: Plan
    looking: Looking
    tracker: Tracker
    train: Images | StoredImages
    snapshots: Snapshots
    belongs: dict[str, Any]
    fit: str
    arithmetic: precision.Arithmetic
    guard: Guard | None = None
    attempts: Sequence[Attempt] = ()
    titles: dict[int, list[str]] = field(default_factory=dict)
    start: int = 0
    ended: Reason | None = None
    series: list[Reading] = field(default_factory=list)
    play: list[Reading] = field(default_factory=list)
    window: dict[str, float] = field(default_factory=dict)
    looked: int = -1
    told: int = -1

    def moments(self, leaving: Callable[[], bool] | None = None) -> Iterator[Moment]:
        return run(self.task, self.train, self.plan, self.replicas, self.start, leaving)

    def report(self, clock: int, values: dict[str, float]) -> None:
        self.window = values
        self.tracker.metrics(clock, {f"train/{name}": value for name, value in values.items()})

    def watch_collapse(self, clock: int) -> Reason | None:
        """Why the run ends at this report, if it has collapsed and the settings say so."""
        guard = self.guard
        if guard is None:
            return None
        try:
            due = guard.read(clock, self.window, self.replicas, last=clock >= self.plan.total)
        except NotFinite as error:
            raise Diverged(clock, error.where) from error
        if not due:
            return None
        self.tracker.metrics(clock, {f"collapse/{name}": x for name, x in guard.told().items()})
        before, said = guard.before, guard.verdict
        if str(said) != str(before):
            self.tracker.tags({"ganlib.collapse": str(said)})
        if said.state != before.state and "collapsed" in (said.state, before.state):
            self.tracker.note(f"{said}, seen at {clock:,} images")
            if said.state == "collapsed":
                self._keep_evidence(clock, said)
        stops = not isinstance(guard.settings, Record) and said.state == "collapsed"
        origin = self.spec.origin  # whose collapse is what the change is to mend
        spared = origin is not None and guard.spared(origin.clock)
        return self.agreed("collapsed", stops and not spared)

    def _keep_evidence(self, clock: int, said: Verdict) -> None:
        """Readings and snapshots around the onset, and a grid as it was seen; of all ranks."""
        assert self.guard is not None
        state = self.task.state_dict()
        _check_finite(state, clock)
        if self.replicas.rank == 0:
            folder = Path(self.spec.run_folder)
            forensics.keep(folder, self.snapshots, said, self.guard.series, state, self.belongs)
        self._title(clock, "collapse")
        if isinstance(self.guard.settings, Record):  # others are shown when they end or go back
            self.sample(clock)

    def rescued(self, clock: int) -> Attempt | None:
        """What is tried next, on every rank, with the samples as they are now; none if nothing."""
        config, guard = self.spec.config, self.guard
        if guard is None or not isinstance(config, GanConfig):
            return None
        policy = None
        if isinstance(guard.settings, Rescue):
            counts = (self.spec.workers, *self.spec.elastic)
            policy = rescue.upcoming(config, self.attempts, guard.settings, counts)
        if policy is None:
            return None
        self.title_end(clock)
        self._title(clock, f"rescue-{len(self.attempts) + 1}-before")
        self.sample(clock)
        self.rest()
        said = guard.verdict
        onset = self.replicas.agree(clock if said.since is None else said.since)
        back = self.replicas.agree(rescue.before(self.snapshots, onset, guard.well))
        return Attempt(policy=policy, clock=back, collapsed_at=clock, seen=str(said))

    def evaluate(self, clock: int) -> list[Reading]:
        """The readings that decisions may read from now on; every rank takes part.

        Raises Diverged where weights are not finite, of which there is nothing to look at.
        """
        _check_finite(self.task.state_dict(), clock)
        self.looked = clock
        play = {name: self.window[name] for name in PLAY if name in self.window}
        return [self._count(found) for found in self.looking.evaluate(clock, play)]

    def sample(self, clock: int) -> None:
        """Raises Diverged as `evaluate` does."""
        _check_finite(self.task.state_dict(), clock)
        self._show(self.looking.sample(clock))

    def rest(self) -> list[Reading]:
        """The readings that had not come yet, waited for; pictures as well."""
        found, pictures = self.looking.rest()
        self._show(pictures)
        return [self._count(one) for one in found]

    def tell_early(self) -> None:
        """Readings that came since are told at once, though nothing is decided by them yet."""
        for found in self.looking.early():
            self._tell(found)

    def _count(self, found: Evaluated) -> Reading:
        reading = (found.clock, found.readings)
        self.series.append(reading)
        self.play.append((found.clock, found.play))
        told = stalled(self.play, self.series)
        if told and told != stalled(self.play[:-1], self.series[:-1]):
            self.tracker.note(f"{told} at {found.clock} images")
        self._tell(found)
        return reading

    def _tell(self, found: Evaluated) -> None:
        """Once each, in the order of their clocks."""
        if found.readings and found.clock > self.told:
            values = {f"eval/{name}": value for name, value in found.readings.items()}
            self.tracker.metrics(found.clock, values)
        self.told = max(self.told, found.clock)

    def _show(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            for title in ("samples", *self.titles.get(picture.clock, ())):
                self.tracker.image(picture.clock, title, picture.png)

    def title_end(self, clock: int) -> None:
        """The picture at `clock` is what the last attempt of a rescue came to."""
        if self.attempts:
            self._title(clock, f"rescue-{len(self.attempts)}-after")

    def _title(self, clock: int, title: str) -> None:
        given = self.titles.setdefault(clock, [])
        if title not in given:
            given.append(title)

    def save(self, clock: int, ended: Reason | None) -> None:
        """Raises Diverged rather than publish a state that is not finite."""
        state = self.task.state_dict()
        _check_finite(state, clock)
        pending, weights = self.looking.pending()
        if self.replicas.rank == 0:
            self.snapshots.save(
                clock,
                state | weights,
                self.belongs,
                {
                    "ended": ended,
                    "series": list(self.series),
                    "play": list(self.play),
                    "pending": pending,
                    "collapse": [] if self.guard is None else list(self.guard.series),
                },
                spare=self._refuge(),
            )
        self.replicas.barrier()

    def _refuge(self) -> int | None:
        """What a rescue would go back to stays, however long ago it was: a collapse may be slow."""
        guard = self.guard
        if guard is None or not guard.series or not isinstance(guard.settings, Rescue):
            return None
        return max((clock for clock in self.snapshots.clocks() if guard.well(clock)), default=None)

    def agreed(self, reason: Reason, wanted: bool) -> Reason | None:
        """`reason` if rank 0 wants it, on every rank."""
        return reason if self.replicas.agree(int(wanted)) else None

    def finish(self, clock: int, ended: Reason) -> Outcome:
        """Look once more if need be, keep the last state, export, and publish the outcome last."""
        early = ended not in (None, "budget") and self.ended is None
        if early and self.looked != clock:
            self.evaluate(clock)
        if early:
            self.title_end(clock)
            self.sample(clock)
        self.rest()
        if early:
            self.save(clock, ended)
        folder = Path(self.spec.run_folder)
        seen = self.guard.verdict if self.guard is not None and self.guard.series else None
        collapsed = seen is not None and seen.state == "collapsed"
        outcome = Outcome(
            clock=clock,
            reason=ended,
            verdict=str(seen) if collapsed else stalled(self.play, self.series),
            collapse="" if seen is None else str(seen),
            readings=self.series[-1][1] if self.series else {},
            model=str(folder / "model"),
            series=tuple(self.series),
        )
        if self.replicas.rank == 0:
            _export(self.task, folder, outcome, self.belongs, self.fit)
        self.replicas.barrier()
        return outcome


def belongs_to(spec: RunSpec) -> dict[str, Any]:
    """What a run's numbers depend on, and the number of workers."""
    return {
        "kind": spec.kind,
        "config": spec.config.model_dump(mode="json"),
        "dataset": spec.dataset_fingerprint,
        "evaluation": spec.evaluation.model_dump(mode="json"),
        "threads": spec.threads,
        "workers": spec.workers,
        **({} if spec.origin is None else {"origin": spec.origin.model_dump(mode="json")}),
    }


def identity(belongs: dict[str, Any]) -> str:
    """Equal for runs that would end with the same weights, up to rounding."""
    return fingerprint({key: value for key, value in belongs.items() if key not in ELASTIC})


def _check_finite(state: dict[str, Tensor], clock: int) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise Diverged(clock, name)


def _export(task: Task, folder: Path, outcome: Outcome, belongs: dict[str, Any], fit: str) -> None:
    part = folder / "model.part"
    shutil.rmtree(part, ignore_errors=True)
    meta = {
        "clock": outcome.clock,
        "reason": outcome.reason,
        "verdict": outcome.verdict,
        "readings": outcome.readings,
        "belongs": belongs,
        "fit": fit,
    }
    task.export(part, meta)
    shutil.rmtree(folder / "model", ignore_errors=True)
    os.replace(part, folder / "model")
    told = outcome.model_dump(mode="json")
    write_json(folder / "outcome.json", {"fingerprint": identity(belongs), "outcome": told})
