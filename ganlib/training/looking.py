"""How a session comes by its readings and pictures, and the way of doing it inside training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from ganlib.determinism import Replicas
from ganlib.training.watch import Watch, finite


@dataclass(frozen=True)
class Evaluated:
    """Readings at a clock, and how the players stood then."""

    clock: int
    play: dict[str, float]
    readings: dict[str, float]


@dataclass(frozen=True)
class Picture:
    clock: int
    png: bytes


class Looking(Protocol):
    """How a session gets its readings and pictures; every rank takes part, equally often."""

    def evaluate(self, clock: int, play: dict[str, float]) -> list[Evaluated]:
        """The readings that count from now on, oldest first."""

    def sample(self, clock: int) -> list[Picture]:
        """The pictures that came, on rank 0."""

    def rest(self) -> tuple[list[Evaluated], list[Picture]]:
        """All that has not come yet, waited for."""

    def early(self) -> list[Evaluated]:
        """Readings that are there and do not count yet, on rank 0."""

    def pending(self) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        """What a snapshot has to keep: notes, and on rank 0 tensors."""

    def resume(self, notes: Sequence[Mapping[str, Any]], state: Mapping[str, Tensor]) -> None:
        """Ask again for what was pending."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Inside:
    """Training stands still meanwhile, and nothing is ever late."""

    watch: Watch
    replicas: Replicas

    def evaluate(self, clock: int, play: dict[str, float]) -> list[Evaluated]:
        return [Evaluated(clock, play, finite(self.watch.read(self.replicas)))]

    def sample(self, clock: int) -> list[Picture]:
        png = self.watch.picture() if self.replicas.rank == 0 else None
        return [] if png is None else [Picture(clock, png)]

    def rest(self) -> tuple[list[Evaluated], list[Picture]]:
        return [], []

    def early(self) -> list[Evaluated]:
        return []

    def pending(self) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        return [], {}

    def resume(self, notes: Sequence[Mapping[str, Any]], state: Mapping[str, Tensor]) -> None: ...

    def close(self) -> None: ...
