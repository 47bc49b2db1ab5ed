"""Signals of mode collapse and the detector: pure functions of series of readings.

Torch alone is needed; no rank, loop or tracker is known here.
"""

from ganlib.collapse.detector import Reading, detect, verdicts
from ganlib.collapse.monitor import Eye, Judge, Monitor
from ganlib.collapse.null import Null
from ganlib.collapse.signals import Reference, Sample, effective_rank, pixels
from ganlib.collapse.verdict import Verdict

__all__ = [
    "Eye",
    "Judge",
    "Monitor",
    "Null",
    "Reading",
    "Reference",
    "Sample",
    "Verdict",
    "detect",
    "effective_rank",
    "pixels",
    "verdicts",
]
