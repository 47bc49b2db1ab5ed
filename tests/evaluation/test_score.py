"""Scores of generators whose worth is known, on one rank and on two."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import nn

from ganlib.errors import NotFinite
from ganlib.evaluation import ClassifierExtractor, Seen, reference, repeated, sample_seeds, score
from ganlib.evaluation.sampling import Purpose
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


COLUMNS = ["metric", "value", "low", "high", "floor", "count", "extractor", "layer", "over",
           "floor_low", "floor_high"]  # fmt: skip
SETTINGS = {"neighbours": 5, "present_share": 0.02}


@pytest.fixture(scope="module")
def real(judge, digits):
    train, _, held_out, label = digits
    return reference.build(
        held_out, label, judge, None, 0, other_NHWC=train, other_label_N=digits[1]
    )


def test_a_perfect_generator_scores_what_real_images_score(judge, digits, real):
    """It draws training images with replacement, so it covers a little less than the floor."""
    table = repeated(Memory(*digits[:2]), real, judge, seeds=[1, 2, 3], **SETTINGS)
    frame = table.to_frame()
    assert list(frame.columns) == COLUMNS
    fewer = ("split_half_distance", "intra_class_coverage_min")
    of_all = ~frame["metric"].str.contains("/") & ~frame["metric"].isin(fewer)
    assert set(frame["count"][of_all]) == {real.samples}
    halves = table["split_half_distance"]
    assert halves.count == real.samples // 2
    assert halves.value > table["scaled_distance"].floor
    assert set(frame["extractor"]) == {"judge"}
    assert set(frame["layer"]) == {"features", "logits"}
    of_logits = frame["metric"][frame["layer"] == "logits"].str.partition("/")[0]
    assert set(of_logits) == {
        "inception_score", "class_entropy", "class_share", "label_agreement", "classes_present",
        "class_divergence", "confident_share",
    }  # fmt: skip
    for row in table.rows:
        assert row.low <= row.value <= row.high, row.metric
        assert row.over == ("near pairs" if row.metric == "support" else "sample sets")
        if row.metric.startswith(("coverage", "recall", "intra_class_coverage", "class_share")):
            assert 0 <= row.low <= row.high <= 1, row.metric
    for metric in ("coverage", "precision", "label_agreement", "intra_class_coverage"):
        assert table[metric].value == pytest.approx(table[metric].floor, abs=0.06), metric
    assert table["relative_coverage"].value > 0.9
    assert table["scaled_distance"].value < 4 * table["scaled_distance"].floor
    assert table["classes_present"].value == 10
    assert table["class_entropy"].value == pytest.approx(math.log(10), abs=0.02)
    assert table.spread["coverage"] > 0
    threes = table["intra_class_coverage/3"]
    assert threes.count == (digits[3] == 3).sum()
    assert threes.value >= table["intra_class_coverage_min"].value
    assert table.readings().keys() == {m for m in frame["metric"] if "/" not in m}
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


def half_of_each(feature, label):
    """kept_N bool: of each class the half on one side, along the direction it varies most in."""
    kept = torch.zeros(len(label), dtype=torch.bool)
    for own in range(10):
        rows = (label == own).nonzero()[:, 0]
        centred = feature[rows].double() - feature[rows].double().mean(0)
        along = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[0]
        kept[rows[along < along.median()]] = True
    return kept


def test_half_of_every_class_dropped_is_seen_inside_the_classes(judge, digits, real):
    image, label = digits[:2]
    kept = half_of_each(judge(image)[0], label)
    half = repeated(Memory(image[kept], label[kept]), real, judge, seeds=[1, 2, 3], **SETTINGS)
    assert half["classes_present"].value == 10
    for metric in ("intra_class_coverage", "intra_class_coverage_min"):
        assert half[metric].high < half[metric].floor - 0.05, metric


class Blind(Memory):
    """Pays no heed to the class: its noise alone picks one image of all."""

    def forward(self, z, asked):
        share = 0.5 * (1 + torch.erf(z[:, 0] / 2**0.5))
        return self.image[(share * (len(self.image) - 1)).long()]


def test_a_generator_that_cannot_be_asked_is_judged_by_what_it_gave(judge, digits, real):
    blind = score(Blind(*digits[:2]), real, judge, seed=1, **SETTINGS)
    assert blind["label_agreement"] < 0.2
    assert blind["intra_class_coverage"] > 0.8
    wrong = score(Memory(*digits[:2], wrong=1), real, judge, seed=1, **SETTINGS)
    assert wrong["intra_class_coverage"] < 0.1


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
    once = repeated(generator, real, judge, seeds=[1], **SETTINGS)
    assert {*one, "split_half_distance"} < once.readings().keys()
    assert once["coverage"].value == one["coverage"]
    assert (once["coverage"].low, once["coverage"].high) == (None, None)
    with pytest.raises(KeyError):
        one["share_K"]


def test_selection_and_judgement_share_no_noise(judge, digits, real):
    rows = torch.arange(10_000)
    noise = [set(sample_seeds(7, rows, purpose).tolist()) for purpose in get_args(Purpose)]
    assert len(set.union(*noise)) == len(noise) * len(rows)  # teaching's is of neither
    generator = Memory(*digits[:2])
    judged, selected = (
        score(generator, real, judge, seed=1, **SETTINGS, purpose=purpose)
        for purpose in ("evaluation", "selection")
    )
    assert dict(judged) != dict(selected)


def test_a_reference_of_another_extractor_is_refused(judge_folder, digits, real):
    selector = ClassifierExtractor(load_model(judge_folder), "selector:features")
    with pytest.raises(ValueError, match="judge:features given to selector:features"):
        score(Memory(*digits[:2]), real, selector, seed=1, **SETTINGS)


def test_what_is_not_finite_is_named_and_never_judged(judge, digits, real):
    broken = Memory(*digits[:2])
    broken.image[:] = math.nan
    with pytest.raises(NotFinite, match="the generator gives images"):
        score(broken, real, judge, seed=1, **SETTINGS)
    logits = torch.zeros(2, 10)
    with pytest.raises(NotFinite, match="judge:features gives features"):
        Seen.of(torch.tensor([[1.0], [math.inf]]), logits, torch.zeros(2), judge.name)


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
