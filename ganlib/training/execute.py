"""One run from its spec to its outcome, on any number of ranks; resumed, if it was begun before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganlib.determinism import Replicas
from ganlib.training.journal import Tracker
from ganlib.training.spec import Outcome, RunSpec


def execute(
    spec: RunSpec,
    replicas: Replicas = Replicas(),  # noqa: B008
    *,
    device: str = "cpu",
    tracker: Tracker | None = None,
    on_reading: Callable[[int, dict[str, float]], bool] | None = None,
    on_moment: Callable[[Any], None] | None = None,
) -> Outcome:
    """Being written."""
    raise NotImplementedError
