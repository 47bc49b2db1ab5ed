"""Mixup: whose partner, how much, and the mixture itself."""

from __future__ import annotations

import pytest
import torch

from ganlib.augmentation.mixup import draw_mixup, mix
from ganlib.determinism import stream


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 4.0])
def test_shares_are_beta_distributed_and_partners_a_permutation(alpha):
    partner, share = draw_mixup(20_000, alpha, stream(0, "test"))
    assert partner.sort().values.tolist() == list(range(20_000))
    assert ((share >= 0) & (share <= 1)).all()
    assert share.mean() == pytest.approx(0.5, abs=0.015)
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.005)


def test_the_mixture_by_hand():
    image = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    out = mix(image, image.flip(0), torch.tensor([0.75, 1.0], dtype=torch.float64))
    assert out.flatten().tolist() == [0.5, -1.0]
    assert out.dtype == torch.float32
