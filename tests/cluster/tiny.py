"""Trials and networks small enough to see through; Ray's workers import them by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from ganlib.cluster import TrialPlan
from ganlib.errors import Diverged
from ganlib.training import Outcome

OnReading = Callable[[int, dict[str, float]], bool]


def climb(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
    """Accuracy is the trial's rate times its clock; what its folder asks for happens on the way.

    `die`: this process is killed, once, before its first reading. `diverge`: it does, at 2,000
    images. `after-X`: it begins when a file X lies beside its folder.
    """
    folder = Path(plan.spec.run_folder)
    wants = set(os.listdir(folder)) if folder.is_dir() else set()
    _wait_for(wants, folder)
    if "die" in wants:
        (folder / "die").unlink()
        (folder.parent / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    readings: dict[str, float] = {}
    for clock in range(1_000, plan.spec.config.budget.images + 1, 1_000):
        if "diverge" in wants and clock == 2_000:
            raise Diverged(clock, "loss")
        readings = {"accuracy": plan.overlay.get("rate", 1.0) * clock / 10_000}
        if on_reading(clock, readings):
            return Outcome(clock=clock, reason="stopped", readings=readings, model="/none")
    return Outcome(clock=clock, reason="budget", readings=readings, model="/none")


def _wait_for(wants: set[str], folder: Path) -> None:
    for name in wants:
        if name.startswith("after-"):
            until((folder.parent / name.removeprefix("after-")).exists)


def until(true: Callable[[], bool], seconds: float = 240.0) -> None:
    """Return as soon as it is so; raises AssertionError if it never is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def hang(plan: TrialPlan, device: str, on_reading: OnReading) -> Outcome:
    """Begins, and never ends by itself."""
    folder = Path(plan.spec.run_folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "begun").touch()
    signal.pause()
    raise AssertionError


def broken_on_rank_1(*, size: int, channels: int, classes: int) -> nn.Module:
    """A user's network that fails on one of two workers."""
    if os.environ.get("RANK") == "1":
        raise ZeroDivisionError("a user's mistake")
    return Flat(size, channels, classes)


def flat(*, size: int, channels: int, classes: int) -> nn.Module:
    """A user's network."""
    return Flat(size, channels, classes)


class Flat(nn.Module):
    """A linear classifier."""

    def __init__(self, size: int, channels: int, classes: int) -> None:
        super().__init__()
        self.feature_size = channels * size * size
        self.head = nn.Linear(self.feature_size, classes)

    def features(self, image_NCHW: Tensor) -> Tensor:
        return image_NCHW.flatten(1)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.head(self.features(image_NCHW))
        return logits_NK
