"""Draws are pure functions of the space, the seed and the number."""

from __future__ import annotations

import pytest

from ganlib.cluster import draw
from ganlib.config import Choice, LogUniform, Uniform

SPACE = {
    "gan.batch_size": Choice(values=(32, 64)),
    "gan.ema.ramp": Uniform(low=0.1, high=0.2),
    "gan.generator.optimiser.learning_rate": LogUniform(low=1e-4, high=1e-2),
}


def test_trial_0_changes_nothing():
    assert draw(SPACE, seed=3, number=0) == {}


@pytest.mark.parametrize("number", range(1, 40))
def test_values_lie_in_their_ranges(number: int):
    found = draw(SPACE, 3, number)
    assert found.keys() == SPACE.keys()
    assert found["gan.batch_size"] in (32, 64)
    assert 0.1 <= found["gan.ema.ramp"] <= 0.2
    assert 1e-4 <= found["gan.generator.optimiser.learning_rate"] <= 1e-2


def test_the_same_number_draws_the_same_and_others_differ():
    assert draw(SPACE, 3, 5) == draw(SPACE, 3, 5)
    rates = {draw(SPACE, s, n)["gan.ema.ramp"] for s in (3, 4) for n in range(1, 20)}
    assert len(rates) == 38


def test_a_path_more_moves_no_other_value():
    more = {**SPACE, "gan.seed": Choice(values=(1, 2, 3))}
    assert draw(SPACE, 3, 7).items() <= draw(more, 3, 7).items()


def test_log_uniform_halves_at_the_geometric_mean():
    rates = [draw({"x": LogUniform(low=1e-4, high=1e-2)}, 0, n)["x"] for n in range(1, 401)]
    assert 160 < sum(rate < 1e-3 for rate in rates) < 240
