"""Class shares and confusion counts."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from ganlib.metrics import (
    Confusion,
    agreement,
    class_shares,
    divergence,
    entropy,
    present,
    smoothed_shares,
)


def test_shares_entropy_and_presence_by_hand():
    label = torch.tensor([0, 0, 1, 3])
    share = class_shares(label, 4)
    assert share.tolist() == [0.5, 0.25, 0, 0.25]
    assert entropy(share) == pytest.approx(1.5 * math.log(2))
    assert present(share, share, 0.02) == 3
    assert present(share, torch.ones(4), 0.3) == 1
    assert present(share, torch.ones(4), 0.25) == 3


@pytest.mark.parametrize("classes", [2, 40, 100, 1000])
def test_the_truth_has_all_its_classes_however_many_there_are(classes):
    """Also those whose share is what chance left of it: 40 have 2.5 % each, give or take .35 %."""
    truth = torch.full((classes,), 1 / classes).double()
    label = torch.multinomial(
        truth, 50 * classes, replacement=True, generator=torch.Generator().manual_seed(0)
    )
    share = class_shares(label, classes)
    assert present(truth, truth, 0.02) == classes
    assert present(share, truth, 0.02) == classes
    share[0] = 0
    assert present(share, truth, 0.02) == classes - 1


def test_a_class_without_real_images_needs_the_whole_share():
    truth, share = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.5, 0.0])
    assert present(share, truth, 0.02) == 2
    assert present(torch.tensor([0.5, 0.4, 0.1]), truth, 0.02) == 3


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_entropy_is_greatest_for_equal_classes(classes):
    assert entropy(torch.full((classes,), 1 / classes).double()) == pytest.approx(math.log(classes))
    one = torch.zeros(classes).double()
    one[0] = 1
    assert entropy(one) == 0


def test_no_samples_have_no_share():
    assert class_shares(torch.zeros(0, dtype=torch.int64), 3).tolist() == [0, 0, 0]


def test_a_class_that_real_images_lack_costs_something_and_not_everything():
    label = torch.tensor([0, 0, 1])
    truth = smoothed_shares(label, 3)
    assert truth.tolist() == pytest.approx([2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5])
    few = torch.tensor([0.5, 0.25, 0.25]).double()
    assert divergence(few, class_shares(label, 3)) == math.inf
    assert divergence(truth, truth) == 0 < divergence(few, truth) < 0.3


def test_agreement():
    assert agreement(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2])) == 0.75


def test_confusion_is_scikit_learns_and_adds():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(5, (300,), generator=generator)
    predicted = torch.where(
        torch.rand(300, generator=generator) < 0.7,
        label,
        torch.randint(5, (300,), generator=generator),
    )
    parts = [
        Confusion.of(a, b, 5) for a, b in zip(label.split(77), predicted.split(77), strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert total.count_KK.tolist() == confusion_matrix(label, predicted).tolist()
    assert total.accuracy() == pytest.approx(accuracy_score(label, predicted))
    expected = recall_score(label, predicted, average=None)
    assert total.per_class().tolist() == pytest.approx(expected.tolist())


def test_an_absent_class_has_no_accuracy():
    confusion = Confusion.of(torch.tensor([0, 0]), torch.tensor([0, 1]), 3)
    assert confusion.accuracy() == 0.5
    assert confusion.per_class()[0] == 0.5
    assert confusion.per_class()[1:].isnan().all()
