"""Intervals against SciPy's quantiles, and their share of hits."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from ganlib.metrics import deviation, of_count, of_jackknife, of_mean, of_share
from ganlib.metrics.intervals import student


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 49])
def test_students_quantile(degrees):
    assert student(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=2e-3)


@pytest.mark.parametrize("degrees", [1, 2, 4, 8])
@pytest.mark.parametrize("z", [1.0, 2.0, 3.0])
def test_students_quantile_as_far_out_as_a_normal_one(degrees, z):
    expected = stats.t.ppf(stats.norm.cdf(z), degrees)
    assert student(degrees, z) == pytest.approx(expected, rel=0.01)
    assert student(degrees, -z) == pytest.approx(-expected, rel=0.01)
    assert student(degrees, 0) == 0


def test_what_is_out_of_reach_is_infinitely_far():
    assert student(2, 1e6) == math.inf
    assert student(4, 1e6) > 1e6


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


def test_with_ends_the_mean_is_kept_where_its_own_error_would_allow_the_values():
    """By trying every mean, with the error that vanishes at the ends."""
    for values, least, most in (
        ([0.98, 1.0, 0.99], 0, 1),
        ([0.1, 0.0, 0.0], 0, 1),
        ([2.0, 3.0, 9.0], 1, 10),
        ([0.001, 0.002, 0.004], 0, math.inf),
    ):
        tried = torch.linspace(least, min(most, least + 20 * max(values)), 400_001).double()[1:-1]
        mean = torch.tensor(values).double().mean()
        error = stats.t.ppf(0.975, 2) * torch.tensor(values).double().std() / 3**0.5

        def squared(p, least=least, most=most):
            return (p - least) * ((most - p) if most < math.inf else 1)

        kept = tried[(mean - tried) ** 2 <= error**2 * squared(tried) / squared(mean)]
        step = float(tried[1] - tried[0])
        low, high = of_mean(values, least, most)
        assert least < low < mean < high < most
        assert low == pytest.approx(float(kept[0]), abs=2 * step)
        assert high == pytest.approx(float(kept[-1]), abs=2 * step)


def test_far_from_the_ends_it_is_students_and_sets_that_agree_leave_no_doubt():
    values = [0.5, 0.5001, 0.5002]
    assert of_mean(values, 0, 1) == pytest.approx(of_mean(values), abs=1e-5)
    assert of_mean([1.0, 1.0, 1.0], 0, 1) == (1.0, 1.0)
    # A distance of a set to itself is zero but for the last digits, on either side.
    assert of_mean([-1e-12, 1e-12], 0) == pytest.approx((0, 0), abs=1e-10)


def test_shares_that_agree_have_the_interval_of_all_their_cases():
    for share in (0.0, 0.5, 1.0):
        low, high = of_mean([share] * 3, 0, 1, cases=300)
        assert (low, high) == of_share(share, 300)
        assert low <= share <= high
        assert high - low > 0.01
    differ = [0.98, 1.0, 0.99]
    assert of_mean(differ, 0, 1, cases=300) == of_mean(differ, 0, 1)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_share_near_its_end_lies_in_its_interval_as_often_as_it_says(share):
    draws = torch.rand(4000, 3, 400, generator=torch.Generator().manual_seed(0)) < share
    found = [of_mean(values, 0, 1) for values in draws.double().mean(2).tolist()]
    assert all(0 <= low <= high <= 1 for low, high in found)
    hits = [low <= share <= high for low, high in found]
    assert sum(hits) / len(hits) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("share", "count"), [(0.0, 10), (0.5, 40), (0.93, 200), (1.0, 7)])
def test_shares(share, count):
    found = stats.binomtest(round(share * count), count).proportion_ci(method="wilson")
    assert of_share(round(share * count) / count, count) == pytest.approx(tuple(found), abs=1e-9)


@pytest.mark.parametrize("events", [0, 1, 7, 400])
def test_counts(events):
    low, high = of_count(events)
    assert low == pytest.approx(stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0)
    assert high == pytest.approx(stats.chi2.ppf(0.975, 2 * events + 2) / 2)


def test_without_one_value_each_the_jackknife_of_a_mean_is_students():
    values = [0.3, 0.9, 0.4, 0.7, 0.55]
    without = [(sum(values) - one) / 4 for one in values]
    mean = sum(values) / 5
    assert of_jackknife(mean, without) == pytest.approx(of_mean(values))
    assert of_jackknife(mean, without, 0, 1) == pytest.approx(of_mean(values, 0, 1))
    assert of_jackknife(0.0, [0.0] * 5, 0, 1, cases=40) == of_share(0.0, 40)
    assert all(map(math.isnan, of_jackknife(0.5, [0.5])))
