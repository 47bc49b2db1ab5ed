"""A sweep's space is refused before anything starts, naming the path."""

from __future__ import annotations

from typing import Any

import pytest

from ganlib.config import PipelineConfig, load, overlay
from ganlib.errors import ConfigError
from ganlib.stages import space

RATE = "gan.generator.optimiser.learning_rate"


def recipe(path: str, values: dict[str, Any]) -> PipelineConfig:
    return overlay(load("digits"), {"sweep.space": {path: values}})


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        ("gan.generator.optimiser.learning_rat", {"kind": "choice", "values": [1e-3]}, "learning"),
        (RATE, {"kind": "log_uniform", "low": 0.1, "high": 10.0}, "less than or equal"),
        ("classifier.seed", {"kind": "choice", "values": [1]}, "not below gan"),
        ("gan.budget.images", {"kind": "choice", "values": [1]}, "cannot vary"),
        ("gan.batch_size", {"kind": "choice", "values": [64, 33]}, "multiple of"),
    ],
)
def test_what_cannot_be(path: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        space.check(recipe(path, values))


def test_every_recipe_can_be_swept() -> None:
    space.check(load("digits"))
    space.check(recipe(RATE, {"kind": "uniform", "low": 1e-4, "high": 1e-2}))
