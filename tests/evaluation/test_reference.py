"""The real side: which images, and what real images score against it."""

from __future__ import annotations

import pytest
import torch

from ganlib.data import Images
from ganlib.errors import ConfigError
from ganlib.evaluation import reference
from ganlib.evaluation.others import Others
from ganlib.metrics import prdc, scaled_distance


def built(judge, digits, samples=None, seed=0, other=True):
    train, _, held_out, label = digits
    return reference.build(
        held_out, label, judge, samples, seed, other_NHWC=train if other else None
    )


def test_all_images_or_some_the_same_ones_for_the_same_seed(judge, digits):
    whole = built(judge, digits)
    assert whole.samples == len(digits[2])
    assert whole.real.feature_NF.dtype == torch.float32  # as the judge gives them
    assert whole.extractor == "judge:features"
    assert whole.classes == 10
    some, again, other = (built(judge, digits, 100, seed) for seed in (1, 1, 2))
    assert some.samples == 100
    assert torch.equal(some.real.feature_NF, again.real.feature_NF)
    assert not torch.equal(some.real.feature_NF, other.real.feature_NF)
    assert some.shares().sum() == pytest.approx(1)


def test_the_floor_compares_with_equally_many_training_images(judge, digits):
    real = built(judge, digits, 300)
    floor = real.floor(5)
    assert real.other.feature_NF.shape == real.real.feature_NF.shape
    expected = prdc(real.real.feature_NF, real.other.feature_NF, 5)
    assert (floor.coverage, floor.recall) == (expected.coverage, expected.recall)
    assert floor.scaled_distance == pytest.approx(
        scaled_distance(real.real.feature_NF, real.other.feature_NF)
    )
    assert floor.samples == 300
    assert 0.85 < floor.coverage < 1
    assert real.floor(5) is floor  # computed once


def test_without_training_images_one_half_is_compared_with_the_other(judge, digits):
    real = built(judge, digits, other=False)
    half = real.samples // 2
    a, b = real.real.feature_NF[:half], real.real.feature_NF[half : 2 * half]
    floor = real.floor(3)
    assert floor.samples == half
    assert floor.scaled_distance == pytest.approx(scaled_distance(a, b))
    assert floor.coverage == prdc(a, b, 3).coverage


def test_two_halves_of_the_real_are_apart_by_chance_alone(judge, digits):
    real = built(judge, digits)
    apart = [real.split_half(seed) for seed in (1, 2)]
    assert apart[0] == real.split_half(1) != apart[1]
    assert real.floor(5).scaled_distance < min(apart)  # at half the count it errs upwards
    assert max(apart) < 0.2


def test_the_other_images_are_of_the_same_classes_and_too_few_are_made_up_for(judge, digits):
    train, train_label, held_out, label = digits
    real = reference.build(
        held_out, label, judge, 300, 0, other_NHWC=train, other_label_N=train_label
    )
    assert (real.other.label_N.bincount() == real.real.label_N.bincount()).all()
    assert (real.other.judged() == real.other.label_N).double().mean() > 0.9
    some = train_label != 3
    without = reference.build(
        held_out, label, judge, 300, 0, other_NHWC=train[some], other_label_N=train_label[some]
    )
    assert len(without.other) == 300
    torch.testing.assert_close(real.real.feature_NF, judge(held_out[real.row_N])[0])


def test_images_that_nothing_learnt_from_come_first(judge, digits):
    train, train_label, held_out, label = digits
    others = Others(Images(train[:150], train_label[:150]), Images(train[150:], train_label[150:]))
    assert torch.equal(others[torch.tensor([200, 3, 149, 150])], train[[200, 3, 149, 150]])

    def floor_of(samples):
        real = reference.build(
            held_out, label, judge, samples, 0,
            other_NHWC=others, other_label_N=others.labels(), unseen=len(others.unseen),
        )  # fmt: skip
        features_NF = judge(train[:150])[0].double()
        apart_NN = torch.cdist(real.other.feature_NF.double(), features_NF)
        return real, int((apart_NN.min(1).values < 1e-4).sum())

    few, of_few = floor_of(60)
    assert few.told() == f"{of_few} validation images"
    assert few.unseen == of_few == 60
    many, of_many = floor_of(300)
    assert many.unseen == of_many > 120
    assert many.told() == f"{of_many} validation images and {300 - of_many} training images"
    assert reference.build(held_out, label, judge, 60, 0).told().startswith("one half")


def test_where_there_are_more_unseen_images_the_floor_is_of_several_draws(judge, digits):
    """Of the same classes, and none has an image in common with another."""
    train, train_label, held_out, label = digits

    def of(unseen):
        return reference.build(
            held_out, label, judge, 100, 0,
            other_NHWC=train, other_label_N=train_label, unseen=unseen,
        )  # fmt: skip

    real = of(900)
    draws = [real.other, *real.more]
    assert len(draws) == reference.DRAWS
    for one in draws:
        assert (one.label_N.bincount() == real.real.label_N.bincount()).all()
    every = torch.cat([one.feature_NF for one in draws])
    assert torch.pdist(every).min() > 0
    each = [prdc(real.real.feature_NF, one.feature_NF, 5) for one in draws]
    assert [one.coverage for one in real.floors(5)] == [one.coverage for one in each]
    assert real.floor(5).coverage == pytest.approx(sum(one.coverage for one in each) / 3)
    assert real.told() == "3 times 100 validation images"
    assert of(100).more == ()


def test_fewer_training_images_than_held_out_ones(judge, digits):
    train, _, held_out, label = digits
    real = reference.build(held_out, label, judge, None, 0, other_NHWC=train[:50])
    assert real.floor(5).samples == 50


def test_judged_classes_are_beside_the_true_ones_in_the_same_order(judge, digits):
    real = built(judge, digits)
    assert (real.real.label_N == real.real.judged()).double().mean() > 0.9


def test_too_few_images_name_the_key(judge, digits):
    real = built(judge, digits, 6, other=False)
    with pytest.raises(ConfigError, match="needs more than 3 real images") as caught:
        real.floor(5)
    assert caught.value.where == "evaluation.neighbours"
