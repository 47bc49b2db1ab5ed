"""Drawing a trial's overlay: a pure function of the space, the seed and the trial's number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, assert_never

from ganlib.config import Choice, LogUniform, Range, Uniform


def draw(space: Mapping[str, Range], seed: int, number: int) -> dict[str, Any]:
    """Dotted path -> value of trial `number`; trial 0 is the configuration as it stands: {}.

    Each path has its own stream, so a path added to the space moves no other's values.
    """
    if number == 0:
        return {}
    from ganlib.determinism import sub_seed  # it brings torch

    return {
        path: _value(space[path], sub_seed(seed, f"sweep/{path}", number) / 2**63)
        for path in sorted(space)
    }


def _value(within: Range, share: float) -> Any:
    """`share` in [0, 1) of the way through `within`; numbers keep five significant digits."""
    match within:
        case Choice():
            return within.values[int(share * len(within.values))]
        case Uniform():
            return _short(within.low + share * (within.high - within.low))
        case LogUniform():
            low, high = math.log(within.low), math.log(within.high)
            return _short(math.exp(low + share * (high - low)))
        case _:
            assert_never(within)


def _short(number: float) -> float:
    """What a person can retype is what was run."""
    return float(f"{number:.5g}")
