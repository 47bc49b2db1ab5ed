"""Ray, and nobody else's: sessions, fits under Ray Train, sweeps under Ray Tune, parts as tasks.

This face imports neither Ray nor torch; both are imported where work begins.
"""

from ganlib.cluster.fit import fit, fit_many
from ganlib.cluster.leftovers import end_leftovers
from ganlib.cluster.parts import RayWorkers
from ganlib.cluster.results import TrialPlan, TrialResult, best, to_frame
from ganlib.cluster.session import keeping_ray, ray_session
from ganlib.cluster.space import draw
from ganlib.cluster.sweep import sweep
from ganlib.cluster.trial import result_of

__all__ = [
    "RayWorkers",
    "TrialPlan",
    "TrialResult",
    "best",
    "draw",
    "end_leftovers",
    "fit",
    "fit_many",
    "keeping_ray",
    "ray_session",
    "result_of",
    "sweep",
    "to_frame",
]
