"""Intervals against SciPy's quantiles, and their share of hits."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from ganlib.metrics import deviation, of_count, of_mean, of_share
from ganlib.metrics.intervals import student


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 49])
def test_students_quantile(degrees):
    assert student(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=2e-3)


def test_no_degrees_of_freedom_are_refused_and_one_value_has_no_interval():
    with pytest.raises(ValueError, match="no 0 degrees"):
        student(0)
    assert all(map(math.isnan, of_mean([3.0])))
    assert all(map(math.isnan, of_share(0.5, 0)))


def test_where_a_sample_set_has_no_value_there_is_no_interval():
    assert all(map(math.isnan, of_mean([1.0, math.nan, 2.0])))
    assert math.isnan(deviation([math.inf, 1.0]))


def test_the_mean_lies_in_its_interval_as_often_as_it_says():
    draws = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)).double()
    hits = [low <= 0 <= high for low, high in map(of_mean, draws.tolist())]
    assert sum(hits) / len(hits) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("share", "count"), [(0.0, 10), (0.5, 40), (0.93, 200), (1.0, 7)])
def test_shares(share, count):
    found = stats.binomtest(round(share * count), count).proportion_ci(method="wilson")
    assert of_share(round(share * count) / count, count) == pytest.approx(tuple(found), abs=1e-9)


@pytest.mark.parametrize("events", [0, 1, 7, 400])
def test_counts(events):
    low, high = of_count(events)
    assert low == pytest.approx(stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0)
    assert high == pytest.approx(stats.chi2.ppf(0.975, 2 * events + 2) / 2)
