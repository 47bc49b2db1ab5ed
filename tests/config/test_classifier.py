"""Optimisers, schedules and class weights that do not combine are refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from ganlib.config import Adam, ClassifierConfig, PipelineConfig, Sgd, Step, overlay, parse
from ganlib.errors import ConfigError


def test_an_optimiser_without_a_kind_is_adam() -> None:
    given = {"optimiser": {"learning_rate": 0.5}}
    assert parse(ClassifierConfig, given).optimiser == Adam(learning_rate=0.5)
    changed = overlay(ClassifierConfig(), {"optimiser.kind": "sgd", "optimiser.momentum": 0.5})
    assert changed.optimiser == Sgd(momentum=0.5)


@pytest.mark.parametrize(
    ("settings", "where", "said"),
    [
        ({"optimiser": {"kind": "sgd", "beta1": 0.5}}, "optimiser.beta1", "there is no setting"),
        (
            {"optimiser": {"kind": "sgd", "nesterov": True, "momentum": 0}},
            "optimiser.nesterov",
            "momentum",
        ),
        ({"optimiser": {"kind": "adagrad"}}, "optimiser", "none of adam, sgd"),
        (
            {"schedule": {"kind": "step", "milestones": [0.75, 0.5]}},
            "schedule.milestones",
            "ascend",
        ),
        ({"schedule": {"kind": "step", "milestones": [1.5]}}, "schedule.milestones.0", "less than"),
        ({"schedule": {"kind": "step", "milestones": []}}, "schedule.milestones", "at least 1"),
        ({"class_weights": [0, 0]}, "class_weights", "nothing would be learnt"),
        ({"accumulate": 2}, "accumulate", "network resnet normalises over the whole batch"),
        (
            {"accumulate": 2, "network": {"kind": "cifar_resnet"}},
            "accumulate",
            "cifar_resnet normalises",
        ),
        ({"accumulate": 2, "network": {"kind": "resnet18"}}, "accumulate", "resnet18 normalises"),
        ({"network": {"kind": "cifar_resnet", "depth": 21}}, "network.depth", "20, 32, 44, 56"),
    ],
)
def test_what_does_not_combine_is_refused(settings: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(ClassifierConfig, settings)
    assert caught.value.where == where
    assert said in str(caught.value)


def test_a_network_too_large_for_the_images_is_refused_with_the_way_out() -> None:
    network = {"kind": "alexnet", "variant": "imagenet"}
    with pytest.raises(ConfigError, match="variant small takes smaller ones"):
        parse(PipelineConfig, {"name": "x", "classifier": {"network": network}})


def test_parts_that_do_not_divide_a_workers_batch_are_refused() -> None:
    classifier = {"network": {"kind": "alexnet"}, "batch_size": 96, "accumulate": 32}
    whole = {"name": "x", "data": {"size": 32}, "classifier": classifier}
    assert parse(PipelineConfig, whole).classifier.accumulate == 32
    with pytest.raises(
        ConfigError, match=r"batch_size is 96, 48 for each of 2 .*accumulate, 32"
    ) as c:
        parse(PipelineConfig, whole | {"cluster": {"classifier_workers": 2}})
    assert c.value.where == "classifier.batch_size"
    with pytest.raises(
        ConfigError, match="is 80, not a multiple of accumulate, 32: set it to a multiple of 32"
    ) as c:
        parse(ClassifierConfig, classifier | {"batch_size": 80})
    assert c.value.where == "batch_size"


def test_weights_and_milestones_survive_json() -> None:
    config = ClassifierConfig(class_weights=(1.0, 2.0), schedule=Step(milestones=(0.25, 0.5)))
    assert ClassifierConfig.model_validate_json(config.model_dump_json()) == config
