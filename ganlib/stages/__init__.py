"""What each stage does, how it is remembered, and what can be asked of runs: `ganlib.api`'s inside.

One file per stage (prepare, classifiers, sweep, gan, evaluate, promote), one per command. Nothing
heavy is imported until a stage truly has work to do: a run that reuses all imports no torch.
"""

from ganlib.stages.context import Context
from ganlib.stages.values import StageResult

__all__ = ["Context", "StageResult"]
