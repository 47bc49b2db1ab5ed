"""Class weights: by hand, against torch, and linear in the samples."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ganlib.losses.classification import balanced_weights, cross_entropy


def test_a_class_weight_multiplies_the_whole_loss_of_its_samples():
    logits, label = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    weight = torch.tensor([0.5, 2.0, 0.0])
    weighted = cross_entropy(logits, label, 0.1, weight)
    torch.testing.assert_close(weighted, cross_entropy(logits, label, 0.1) * weight[label])
    torch.testing.assert_close(
        cross_entropy(logits, label, 0.0, weight),
        F.cross_entropy(logits, label, weight=weight, reduction="none"),
    )


def test_balanced_weights_by_hand():
    weight = balanced_weights(torch.tensor([10, 30, 0, 20]))
    assert weight.tolist() == pytest.approx([2.0, 2 / 3, 0.0, 1.0])
