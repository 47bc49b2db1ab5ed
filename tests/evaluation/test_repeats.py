"""What several sample sets say together, of Gaussians that no network looks at."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ganlib.evaluation import EvaluationTable, Reference, SampleSet, Seen, tabulate
from ganlib.metrics import of_mean, of_share

COUNTS, K = (40, 12, 60), 5
LABEL = torch.repeat_interleave(torch.arange(len(COUNTS)), torch.tensor(COUNTS))


def seen(seed: int) -> Seen:
    """One heap for each class, and a judge that is sure of all of them."""
    generator = torch.Generator().manual_seed(seed)
    feature_NF = torch.randn(len(LABEL), 4, generator=generator).double()
    feature_NF[:, 0] += 20 * LABEL
    return Seen(feature_NF, 9 * F.one_hot(LABEL, len(COUNTS)).double(), LABEL)


def table(fakes: list[Seen]) -> EvaluationTable:
    reference = Reference(seen(0), seen(1), torch.arange(len(LABEL)), len(COUNTS), "by:hand")
    sets = [
        SampleSet(turn, fake, LABEL, reference.compare(fake.feature_NF, K))
        for turn, fake in enumerate(fakes)
    ]
    return tabulate(reference, sets, neighbours=K, present_share=0.02)


@pytest.fixture(scope="module")
def agreed() -> EvaluationTable:
    """Three sets that are the held-out images themselves."""
    return table([seen(0)] * 3)


def test_the_least_covered_class_is_as_doubtful_as_its_own_images(agreed):
    told = agreed["intra_class_coverage_min"]
    assert (told.value, told.count) == (1, min(COUNTS))
    assert (told.low, told.high) == of_share(1, 3 * min(COUNTS))
    assert (agreed["coverage"].low, 1) == of_share(1, 3 * len(LABEL))


def test_a_class_of_too_few_images_has_no_say_in_the_count():
    few = Reference(seen(0), seen(1), torch.arange(len(LABEL)), len(COUNTS), "by:hand")
    fake = SampleSet(0, seen(0), LABEL, few.compare(seen(0).feature_NF, 15))
    told = tabulate(few, [fake], neighbours=15, present_share=0.02)
    assert told["intra_class_coverage_min"].count == 40


def test_classes_present_are_as_doubtful_as_the_rarest(agreed):
    """Twelve of 112 are far above two in a hundred; two sets of one image each are not."""
    assert [agreed["classes_present"].low, agreed["classes_present"].high] == [3, 3]
    fake = seen(2)
    rare_N = torch.cat([torch.zeros(109), torch.ones(3), torch.full((0,), 2)]).long()
    rare = Seen(fake.feature_NF, 9 * F.one_hot(rare_N, 3).double(), LABEL)
    told = table([rare] * 3)["classes_present"]
    assert (told.value, told.low, told.high) == (2, 1, 2)
    assert told.floor == pytest.approx(3)


def test_two_classes_are_told_with_confidence_too():
    """The likelier of two is never below one half, so that gated nothing: noise was all sure."""
    label = torch.arange(200) % 2
    generator = torch.Generator().manual_seed(0)
    feature = torch.randn(200, 4, generator=generator).double()
    noise = Seen(feature, 0.1 * torch.randn(200, 2, generator=generator).double(), label)
    sure = Seen(feature, 6 * F.one_hot(label, 2).double(), label)
    reference = Reference(sure, sure, torch.arange(200), 2, "by:hand")
    sets = [SampleSet(0, fake, label, reference.compare(feature, K)) for fake in (noise, sure)]
    found = [tabulate(reference, [one], neighbours=K, present_share=0.02) for one in sets]
    assert [one["confident_share"].value for one in found] == [0, 1]
    assert found[0]["class_divergence"].value is None


def test_floors_of_several_draws_have_an_interval_and_the_ratio_is_to_their_mean():
    first, second = seen(1), seen(2)
    second.feature_NF[:40] += 50  # real images that cover less
    whole = torch.arange(len(LABEL))
    real = Reference(seen(0), first, whole, len(COUNTS), "by:hand", more=(second,))
    each = [one.coverage for one in real.floors(K)]
    assert each[0] > each[1] + 0.1
    fake = SampleSet(0, seen(3), LABEL, real.compare(seen(3).feature_NF, K))
    told = tabulate(real, [fake], neighbours=K, present_share=0.02)
    coverage, ratio = told["coverage"], told["relative_coverage"]
    assert coverage.floor == pytest.approx(sum(each) / 2)
    assert (coverage.floor_low, coverage.floor_high) == pytest.approx(of_mean(each, 0, 1))
    assert ratio.value == pytest.approx(coverage.value / coverage.floor)
    assert ratio.floor == pytest.approx(1)
    assert ratio.floor_low < 1 < ratio.floor_high
    alone = Reference(seen(0), first, whole, len(COUNTS), "by:hand")
    told = tabulate(alone, [fake], neighbours=K, present_share=0.02)
    assert (told["coverage"].floor_low, told["coverage"].floor_high) == (None, None)


def test_what_the_judge_says_of_samples_has_the_held_out_images_for_its_floor():
    """Others may be those that taught it, of which it is surer."""
    held, learnt = seen(0), seen(1)
    held.logits_NK[::2] /= 9  # of every other one it is not sure
    held.logits_NK[0] = torch.tensor([0.0, 9.0, 0.0])
    real = Reference(held, learnt, torch.arange(len(LABEL)), len(COUNTS), "by:hand")
    fake = SampleSet(0, held, LABEL, real.compare(held.feature_NF, K))
    told = tabulate(real, [fake], neighbours=K, present_share=0.02)
    logits = ("inception_score", "class_divergence", "confident_share", "class_share/1",
              "label_agreement", "class_entropy")  # fmt: skip
    for metric in logits:
        assert told[metric].floor == pytest.approx(told[metric].value), metric
    assert 0.5 <= told["confident_share"].floor < 0.52
