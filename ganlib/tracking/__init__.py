"""MLflow, and nobody else knows it: the writer that drains journals, the registry, promotion."""

from ganlib.tracking.connection import tracking_uri
from ganlib.tracking.gate import (
    UNASKED,
    Evidence,
    Gate,
    classifier_gate,
    classless_gate,
    generator_gate,
    guessing,
)
from ganlib.tracking.promotion import Decision, history, promote, rollback
from ganlib.tracking.reaper import close_all, reap
from ganlib.tracking.registry import (
    RegisteredVersion,
    champion_dataset,
    champion_network,
    describe,
    fetch,
    register,
)
from ganlib.tracking.runs import RunRef, report_of, run_of
from ganlib.tracking.writer import Writer, writing

__all__ = [
    "UNASKED",
    "Decision",
    "Evidence",
    "Gate",
    "RegisteredVersion",
    "RunRef",
    "Writer",
    "champion_dataset",
    "champion_network",
    "classifier_gate",
    "classless_gate",
    "close_all",
    "describe",
    "fetch",
    "generator_gate",
    "guessing",
    "history",
    "promote",
    "reap",
    "register",
    "report_of",
    "rollback",
    "run_of",
    "tracking_uri",
    "writing",
]
