"""Scores of generators whose worth is known, on one rank and on two."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganlib.evaluation import ClassifierExtractor, reference, repeated, score
from ganlib.models import load_model, to_float
from tests.ranks import on_ranks


class Memory(nn.Module):
    """Gives real images of the class asked for, `variety` of them, picked by the noise."""

    latent_size = 1

    def __init__(self, image_NHWC, label_N, variety=10_000, wrong=0):
        super().__init__()
        self.image = nn.Parameter(to_float(image_NHWC), requires_grad=False)
        self.label, self.variety, self.wrong = label_N, variety, wrong

    def forward(self, z, label):
        picked = []
        for place, asked in zip(z[:, 0].tolist(), label.tolist(), strict=True):
            rows = (self.label == (asked + self.wrong) % 10).nonzero()[:, 0][: self.variety]
            share = 0.5 * (1 + math.erf(place / 2**0.5))
            picked.append(rows[min(int(share * len(rows)), len(rows) - 1)])
        return self.image[torch.stack(picked)]


SETTINGS = {"neighbours": 5, "present_share": 0.02}


@pytest.fixture(scope="module")
def real(judge, digits):
    train, _, held_out, label = digits
    return reference.build(held_out, label, judge, None, 0, other_NHWC=train)


def test_a_perfect_generator_scores_what_real_images_score(judge, digits, real):
    """It draws training images with replacement, so it covers a little less than the floor."""
    table = repeated(Memory(*digits[:2]), real, judge, seeds=[1, 2, 3], **SETTINGS)
    frame = table.to_frame()
    columns = ["metric", "value", "spread", "floor", "samples", "extractor"]
    assert list(frame.columns) == columns
    assert set(frame["samples"][:-1]) == {real.samples}
    halves = table["split_half_distance"]
    assert halves.samples == real.samples // 2
    assert halves.value > table["scaled_distance"].floor
    assert set(frame["extractor"]) == {"judge:features"}
    for metric in ("coverage", "precision", "label_agreement"):
        assert table[metric].value == pytest.approx(table[metric].floor, abs=0.06), metric
    assert table["relative_coverage"].value > 0.9
    assert table["scaled_distance"].value < 4 * table["scaled_distance"].floor
    assert table["classes_present"].value == 10
    assert table["class_entropy"].value == pytest.approx(math.log(10), abs=0.02)
    assert table["coverage"].spread > 0
    assert sum(table.share_K) == pytest.approx(1)
    assert sum(table.real_share_K) == pytest.approx(1)
    with pytest.raises(KeyError):
        table["no such metric"]


def test_a_collapsed_generator_is_precise_and_covers_nothing(judge, digits, real):
    scores = score(Memory(*digits[:2], variety=1), real, judge, seed=1, **SETTINGS)
    assert scores["precision"] > 0.6
    assert scores["label_agreement"] > 0.8
    assert scores["recall"] < 0.1
    assert scores["relative_coverage"] < 0.3


def test_a_generator_that_mixes_up_classes_covers_and_disagrees(judge, digits, real):
    scores = score(Memory(*digits[:2], wrong=1), real, judge, seed=1, **SETTINGS)
    assert scores["label_agreement"] < 0.05
    assert scores["coverage"] > 0.8


def test_a_dropped_class_is_seen_in_entropy_and_presence(judge, digits, real):
    image, label = digits[:2]
    moved = torch.where(label == 3, 8, label)  # class 3 is asked for and an image of 8 is given

    class Dropping(Memory):
        def forward(self, z, asked):
            return super().forward(z, torch.where(asked == 3, 8, asked))

    scores = score(Dropping(image, moved), real, judge, seed=1, **SETTINGS)
    assert scores["classes_present"] <= 10
    dropped = score(Dropping(image[label != 3], label[label != 3]), real, judge, seed=1, **SETTINGS)
    assert dropped["classes_present"] == 9
    assert dropped["class_entropy"] < math.log(10) - 0.05


def test_scores_are_a_mapping_that_depends_on_the_seed_alone(judge, digits, real):
    generator = Memory(*digits[:2])
    one, again, other = (score(generator, real, judge, seed=s, **SETTINGS) for s in (1, 1, 2))
    assert one == again
    assert dict(one) != dict(other)
    assert "share_K" not in one
    assert {*one, "split_half_distance"} == {
        row.metric for row in repeated(generator, real, judge, seeds=[1], **SETTINGS).rows
    }
    with pytest.raises(KeyError):
        one["share_K"]


def test_a_reference_of_another_extractor_is_refused(judge_folder, digits, real):
    selector = ClassifierExtractor(load_model(judge_folder), "selector:features")
    with pytest.raises(ValueError, match="judge:features given to selector:features"):
        score(Memory(*digits[:2]), real, selector, seed=1, **SETTINGS)


def scored(replicas, digits, folder):
    judge = ClassifierExtractor(load_model(folder), "judge:features")
    train, train_label, held_out, label = digits
    # An odd number, which two ranks cannot share equally.
    real = reference.build(held_out, label, judge, 257, 0, other_NHWC=train)
    generator = Memory(train, train_label)
    return dict(score(generator, real, judge, seed=1, **SETTINGS, replicas=replicas))


def test_two_ranks_score_what_one_does(judge_folder, digits):
    (one,) = on_ranks(1, scored, digits, judge_folder)
    first, second = on_ranks(2, scored, digits, judge_folder)
    assert first == second
    assert first == pytest.approx(one, rel=1e-6)
