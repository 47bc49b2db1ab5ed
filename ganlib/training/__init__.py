"""Tasks, the one loop, snapshots, the Tracker protocol and its journal; torch.distributed at most.

This face needs no torch. What trains is imported from its module: `ganlib.training.execute`.
"""

from ganlib.training.journal import (
    Journal,
    MemoryTracker,
    NullTracker,
    RunIdentity,
    Tracker,
    follow,
    process_started,
    read_journal,
)
from ganlib.training.spec import ClassifierProblem, GanProblem, Origin, Outcome, RunSpec

__all__ = [
    "ClassifierProblem",
    "GanProblem",
    "Journal",
    "MemoryTracker",
    "NullTracker",
    "Origin",
    "Outcome",
    "RunIdentity",
    "RunSpec",
    "Tracker",
    "follow",
    "process_started",
    "read_journal",
]
