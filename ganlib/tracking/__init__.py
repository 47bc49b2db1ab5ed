"""MLflow, and nobody else knows it: the writer that drains journals, the registry, promotion."""

from ganlib.tracking.connection import tracking_uri
from ganlib.tracking.reaper import reap
from ganlib.tracking.registry import RegisteredVersion, describe, fetch, register
from ganlib.tracking.runs import RunRef, run_of
from ganlib.tracking.writer import Writer, writing

__all__ = [
    "RegisteredVersion",
    "RunRef",
    "Writer",
    "describe",
    "fetch",
    "reap",
    "register",
    "run_of",
    "tracking_uri",
    "writing",
]
