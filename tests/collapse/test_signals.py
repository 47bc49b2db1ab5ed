"""Signals by hand, and what each sees of digits that were made less varied on purpose."""

from __future__ import annotations

import math

import pytest
import torch

from ganlib.collapse import Reference, Sample, effective_rank, pixels
from ganlib.collapse.signals import Side, class_spread, variance


def test_effective_rank_counts_directions():
    square = torch.cat([torch.eye(4), -torch.eye(4)])
    assert effective_rank(square) == pytest.approx(4)
    assert effective_rank(torch.arange(6.0)[:, None].expand(6, 50)) == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.ones(5, 3)) == 0
    uneven = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    share = torch.tensor([0.75, 0.25])
    assert effective_rank(uneven) == pytest.approx(math.exp(-float((share * share.log()).sum())))


def test_one_space_by_hand():
    real = torch.arange(40.0)[:, None] ** 1.5
    sample = torch.tensor([0.0, 0, 5, 7, 40, 41, 100, 130] * 5)[:, None]
    found = Side.of(real).measure(sample)
    assert found["variance"] == pytest.approx(float(sample.var()))
    assert (found["neighbour_distance"], found["repeated"]) == (0, 1)
    copies = 6 * math.comb(5, 2) + math.comb(10, 2)
    others = 25  # 40 and 41 are as near as the nearest real ones
    assert found["support"] == pytest.approx(math.comb(40, 2) / (copies + others))
    apart = Side.of(real).measure(10 * torch.arange(40.0)[:, None])
    assert (apart["neighbour_distance"], apart["repeated"]) == (10, 0)
    assert "support" not in apart


def test_spread_inside_classes_by_hand():
    x = torch.tensor([[0.0], [2.0], [4.0], [9.0], [9.0], [9.0], [5.0], [5.5]])
    label = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    found = class_spread(x, label, 4)
    assert found[:2].tolist() == [variance(x[:3]), 0]
    assert found[2:].isnan().all()


def test_pixels_of_bytes_of_floats_and_of_features():
    byte = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    same = byte.permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(pixels(byte), pixels(same))
    assert pixels(byte).shape == (3, 16 * 16 * 3)
    assert pixels(torch.zeros(3, 7)).shape == (3, 7)
    with pytest.raises(ValueError, match="4 axes"):
        pixels(torch.zeros(3, 4, 5))


def test_a_dropped_class_is_seen_by_a_judge_alone(digits, judge):
    image, label = digits
    feature, logits = judge(image)
    everyone = Sample(pixels(image), label, feature, logits)
    reference = Reference.of(everyone[torch.arange(256)], everyone)
    rest = torch.arange(256, len(label))
    whole = reference.measure(everyone[rest[:256]])
    dropped = reference.measure(everyone[rest[label[rest] != 3][:256]])
    for name in ("variance", "neighbour_distance", "effective_rank", "coverage"):
        assert dropped[f"pixels/{name}"] == pytest.approx(whole[f"pixels/{name}"], rel=0.15)
    assert dropped["classes/least_share"] < 0.1 < 0.3 < whole["classes/least_share"]
    assert dropped["classes/entropy"] < whole["classes/entropy"] - 0.05
    shares = [dropped[f"classes/share/{k}"] for k in range(10)]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) == shares[3] < 0.02


def test_one_image_per_class_is_seen_inside_classes(digits):
    image, label = digits
    everyone = Sample(pixels(image), label)
    reference = Reference.of(everyone[torch.arange(256)], everyone)
    first = torch.tensor([int((label == k).nonzero()[0]) for k in range(10)])
    found = reference.measure(everyone[first.repeat(26)[:256]])
    assert found["classes/spread"] == pytest.approx(0, abs=1e-6)
    assert found["pixels/repeated"] == 1
    assert found["pixels/support"] == pytest.approx(10, rel=0.1)
