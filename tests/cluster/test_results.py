"""Which trial wins, and the table."""

from __future__ import annotations

import math

import pytest

from ganlib.cluster import TrialResult, best, to_frame
from ganlib.cluster.results import merit
from ganlib.config import SweepConfig
from ganlib.errors import NotFound

GAN = SweepConfig(max_scaled_distance=0.1)


def gan(number: int, coverage: float, distance: float, reason: str = "budget") -> TrialResult:
    return TrialResult.model_validate(
        {
            "number": number,
            "overlay": {"gan.seed": number} if number else {},
            "images": 1000,
            "reason": reason,
            "readings": {"coverage": coverage, "scaled_distance": distance},
            "score": coverage,
        }
    )


def test_the_widest_coverage_within_the_distance_wins():
    assert best([gan(0, 0.9, 0.3), gan(1, 0.7, 0.09), gan(2, 0.8, 0.1)], GAN).number == 2


def test_with_none_within_the_smallest_distance_wins():
    assert best([gan(0, 0.9, 0.3), gan(1, 0.2, 0.2)], GAN).number == 1


def test_of_equals_the_first_wins():
    assert best([gan(1, 0.8, 0.05), gan(0, 0.8, 0.05)], GAN).number == 0


def test_what_a_rung_stopped_wins_only_if_nothing_else_is_left():
    stopped, whole = gan(0, 0.9, 0.01, "stopped"), gan(1, 0.5, 0.05)
    assert best([stopped, whole], GAN).number == 1
    assert best([stopped, gan(1, 0.95, 0.01, "diverged")], GAN).number == 0


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_reading_that_is_no_number_has_no_merit(bad: float):
    assert merit({"coverage": 0.9, "scaled_distance": bad}, GAN) is None
    assert merit({"coverage": bad, "scaled_distance": 0.1}, GAN) is None
    assert merit({"loss": 0.1}, GAN) is None


def test_a_classifier_goes_by_accuracy():
    config = SweepConfig(target="classifier")
    trials = [
        TrialResult(number=n, reason="budget", readings={"accuracy": a}, score=a)
        for n, a in enumerate((0.8, 0.95, 0.9))
    ]
    assert best(trials, config).number == 1


def test_no_usable_trial_is_an_error_that_says_where_to_look():
    with pytest.raises(NotFound, match="none of 1 trials") as caught:
        best([TrialResult(number=0, reason="failed", note="boom")], GAN)
    assert "trials.csv" in caught.value.hint


def test_the_table_has_a_row_a_trial_and_a_column_a_changed_path():
    frame = to_frame([gan(1, 0.8, 0.05), TrialResult(number=0, reason="diverged", note="NaN")])
    assert list(frame["trial"]) == [0, 1]
    assert list(frame["state"]) == ["diverged", "budget"]
    assert {"images", "score", "gan.seed", "coverage", "scaled_distance", "note"} <= set(frame)
    assert frame["gan.seed"].isna().tolist() == [True, False]
