"""The calibration error and the accuracy of several guesses: by hand, and adding up."""

from __future__ import annotations

import pytest
import torch

from ganlib.metrics import Calibration, among_best


def both(*confidences):
    """Two classes, the first one with these probabilities."""
    first = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack([first, 1 - first], 1)


def test_the_error_by_hand():
    """Bin (13/15, 14/15] has .9 three times, two right; bin (8/15, 9/15] .6 twice, one right."""
    probability = both(0.9, 0.9, 0.9, 0.6, 0.4)
    label = torch.tensor([0, 0, 1, 0, 0])
    found = Calibration.of(probability, label)
    assert found.sum_3B[0].nonzero().flatten().tolist() == [8, 13]
    assert found.error() == pytest.approx((abs(2 - 2.7) + abs(1 - 1.2)) / 5)


def test_a_bin_holds_its_upper_edge():
    found = Calibration.of(both(0.6, 0.8, 1.0), torch.tensor([0, 0, 0]), bins=5)
    assert found.sum_3B[0].tolist() == [0, 0, 1, 1, 1]


def test_one_who_is_always_sure_and_half_right_is_off_by_half():
    probability = torch.eye(2, dtype=torch.float64)[torch.zeros(10, dtype=torch.long)]
    assert Calibration.of(probability, torch.arange(10) % 2).error() == pytest.approx(0.5)


def test_one_who_says_the_truth_is_calibrated_and_parts_add_up():
    generator = torch.Generator().manual_seed(0)
    probability = (3 * torch.rand(20_000, 4, generator=generator).double()).softmax(1)
    label = torch.multinomial(probability, 1, generator=generator)[:, 0]
    whole = Calibration.of(probability, label)
    assert whole.error() < 0.02
    halves = Calibration.of(probability[:500], label[:500]) + Calibration.of(
        probability[500:], label[500:]
    )
    torch.testing.assert_close((halves + Calibration.nothing()).sum_3B, whole.sum_3B)
    doubtful = 0.5 * probability + 0.125
    assert Calibration.of(doubtful, label).error() > 0.1


def test_several_guesses():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]]).expand(4, 4)
    label = torch.arange(4)
    assert among_best(logits, label, 1).tolist() == [True, False, False, False]
    assert among_best(logits, label, 3).tolist() == [True, True, True, False]
