"""Signals of mode collapse and the detector: pure functions of series of readings.

No rank, loop or tracker is known here: anybody's own loop can use them.
"""

from ganlib.collapse.detector import Following, Reading, detect, verdicts
from ganlib.collapse.monitor import Eye, Judge, Monitor
from ganlib.collapse.null import FEWEST, Null
from ganlib.collapse.signals import Reference, Sample, effective_rank, pixels
from ganlib.collapse.verdict import WARMING_UP, Verdict

__all__ = [
    "FEWEST",
    "WARMING_UP",
    "Eye",
    "Following",
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
