"""Features and logits of a classifier, and how good it is."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ganlib.errors import ConfigError
from ganlib.evaluation import ClassifierExtractor, accuracy_of
from ganlib.models import load_model, to_float


def test_batches_make_no_difference_and_it_is_the_network(judge, judge_folder, digits):
    image = digits[2][:100]
    model = load_model(judge_folder)
    small = ClassifierExtractor(model, "judge:features", batch=7)
    feature, logits = judge(image)
    assert feature.shape == (100, model.module.feature_size)
    assert not feature.requires_grad
    for a, b in zip(small(image), (feature, logits), strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(logits, model.module(to_float(image)))


def test_images_of_another_shape_are_refused(judge):
    with pytest.raises(ConfigError, match="judge:features reads images of"):
        judge(torch.zeros(2, 28, 28, 1, dtype=torch.uint8))


def test_a_generator_is_no_extractor(judge_folder):
    model = dataclasses.replace(load_model(judge_folder), kind="generator")
    with pytest.raises(ConfigError, match="not a classifier"):
        ClassifierExtractor(model, "judge:features")


def test_accuracy_of_a_trained_judge(judge, digits):
    _, _, image, label = digits
    scores = accuracy_of(judge, image, label)
    assert scores.accuracy > 0.9
    assert scores.samples == len(image)
    assert scores.accuracy < scores.top5 <= 1
    assert 0 < scores.calibration_error < 0.2
    assert len(scores.per_class) == len(scores.confusion_KK) == 10
    right = sum(row[place] for place, row in enumerate(scores.confusion_KK))
    assert right / len(image) == pytest.approx(scores.accuracy)
    frame = scores.to_frame(judge.classes)
    assert frame["images"].sum() == len(image)
    assert list(frame.columns[:3]) == ["class", "images", "accuracy"]
