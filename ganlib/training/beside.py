"""Asynchronous evaluation: the average generator's weights are published, others look at them.

What is decided at evaluation n then reads readings up to n - `LAG`, and waits where they are late:
so what is decided, and when, does not depend on how fast anybody was.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ganlib.determinism import Replicas
from ganlib.training.evaluators import Evaluator, Unavailable
from ganlib.training.look import Look, What, published, take
from ganlib.training.looking import Evaluated, Picture
from ganlib.training.snapshots import Snapshots
from ganlib.training.spec import RunSpec
from ganlib.training.state import join, part

LAG = 1
PATIENCE_S = 60.0  # in one go: ranks that wait for rank 0 hear of it now and then


@dataclass(frozen=True)
class _Waiting:
    clock: int
    what: What
    play: dict[str, float]


@dataclass
class Beside:
    """All ranks know what is waited for; rank 0 alone publishes, asks and reads what was found.

    `average` is the generator looked at. A look that the evaluator does not take is taken here
    when it is wanted, and `note` is told why.
    """

    spec: RunSpec
    average: nn.Module
    device: str
    replicas: Replicas
    evaluator: Evaluator
    note: Callable[[str], None]
    waiting: list[_Waiting] = field(default_factory=list)
    weights: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """What an attempt that was killed left behind is removed; its evaluator may still write."""
        self.folder = Path(self.spec.run_folder) / "evaluating"
        self.published: Snapshots | None = None
        if self.replicas.rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            self.published = published(Path(tempfile.mkdtemp(dir=self.folder)))

    def evaluate(self, clock: int, play: dict[str, float]) -> list[Evaluated]:
        self._ask(_Waiting(clock, "readings", play), self.average.state_dict())
        return self._readings(LAG)

    def sample(self, clock: int) -> list[Picture]:
        self._ask(_Waiting(clock, "picture", {}), self.average.state_dict())
        return self._pictures(LAG)

    def rest(self) -> tuple[list[Evaluated], list[Picture]]:
        return self._readings(0), self._pictures(0)

    def early(self) -> list[Evaluated]:
        found: list[Evaluated] = []
        for one in self.waiting:
            if self.published is not None and one.what == "readings":
                look = self._look(one, self.published)
                if not look.path.exists():
                    break
                found.append(Evaluated(one.clock, one.play, look.readings()))
        return found

    def pending(self) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        notes = [vars(one) for one in self.waiting]
        return notes, join({_kept(clock): state for clock, state in self.weights.items()})

    def resume(self, notes: Sequence[Mapping[str, Any]], state: Mapping[str, Tensor]) -> None:
        for told in notes:
            one = _Waiting(int(told["clock"]), told["what"], dict(told["play"]))
            self._ask(one, part(state, _kept(one.clock)))

    def close(self) -> None:
        if self.published is not None:
            self.evaluator.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _ask(self, one: _Waiting, weights: Mapping[str, Tensor]) -> None:
        self.waiting.append(one)
        if self.published is None:
            return
        if one.clock not in self.weights:
            frozen = {
                name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()
            }
            self.weights[one.clock] = frozen
            self.published.save(one.clock, frozen, belongs={}, notes={})
        self.evaluator.ask(self._look(one, self.published))

    def _readings(self, keep: int) -> list[Evaluated]:
        found = []
        for one, look in self._come("readings", keep):
            readings = self.replicas.tell({} if look is None else look.readings())
            found.append(Evaluated(one.clock, one.play, readings))
            self._forget(one)
        return found

    def _pictures(self, keep: int) -> list[Picture]:
        found = []
        for one, look in self._come("picture", keep):
            if look is not None:
                found.append(Picture(one.clock, look.path.read_bytes()))
            self._forget(one)
        return found

    def _come(self, what: What, keep: int) -> list[tuple[_Waiting, Look | None]]:
        """All but the newest `keep`, waited for; the looks on rank 0."""
        due = [one for one in self.waiting if one.what == what]
        looks: list[tuple[_Waiting, Look | None]] = []
        for one in due[: max(0, len(due) - keep)]:
            look = None if self.published is None else self._look(one, self.published)
            while not self.replicas.agree(int(look is not None and self._taken(look))):
                pass
            looks.append((one, look))
        return looks

    def _taken(self, look: Look) -> bool:
        """Whether it is now; raises what the look itself raises where it is taken here."""
        if look.path.exists():
            return True
        try:
            return self.evaluator.wait(look, PATIENCE_S)
        except Unavailable as error:
            if str(error) not in self.told:
                self.note(f"evaluated inside after all, at {look.clock} images: {error}")
            self.told.add(str(error))
            take(look)
            return True

    def _look(self, one: _Waiting, at: Snapshots) -> Look:
        return Look(
            spec=self.spec,
            device=self.device,
            folder=at.store.uri,
            clock=one.clock,
            what=one.what,
        )

    def _forget(self, one: _Waiting) -> None:
        self.waiting.remove(one)
        if self.published is not None and all(one.clock != other.clock for other in self.waiting):
            self.weights.pop(one.clock)
            shutil.rmtree(Path(self.published.store.uri) / f"{one.clock:012d}", ignore_errors=True)


def _kept(clock: int) -> str:
    """What a snapshot calls the weights that are looked at."""
    return f"pending/{clock:012d}"
