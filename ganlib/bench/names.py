"""What `ganlib bench collapse` may be asked for: names alone, for the command's quick --help."""

from __future__ import annotations

from typing import Literal

Plane = Literal["ring", "grid", "grid100"]
Name = Literal[
    "plain",
    "lsgan",
    "wgan_gp",
    "pacgan2",
    "pacgan4",
    "unrolled",
    "minibatch_stddev",
    "r1",
    "r3gan",
    "best",
]
Protocol = Literal["paper", "ours"]
Stacked = Literal["stacked-mnist", "stacked-mnist-hard"]
Narrow = Literal["quarter", "half"]
