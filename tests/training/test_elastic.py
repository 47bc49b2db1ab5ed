"""Snapshotted on two workers and continued on one or four, the next steps are the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ganlib.config import Cadence, ClassifierConfig, GanConfig, LeNet5, overlay
from ganlib.data import Images
from ganlib.determinism import Replicas, stream
from ganlib.training.loop import Plan, run
from tests.ranks import on_ranks
from tests.training.test_replicated_training import NETWORKS, SIZE, build

BEFORE, AFTER, BATCH = 10, 20, 16
PROBLEMS: dict[str, GanConfig | ClassifierConfig] = {
    "gan": overlay(
        GanConfig(batch_size=BATCH, **NETWORKS),
        {"augmentation.kind": "ada", "penalties.r1": {"gamma": 1, "every": 4}},
    ),
    "classifier": ClassifierConfig(batch_size=BATCH, network=LeNet5(), mixup=0.5),
}


def states(
    replicas: Replicas, name: str, start: int, stop: int, state: dict[str, Tensor] | None
) -> dict[str, Tensor]:
    """Of a run over the steps from `start` to `stop`, from `state` if there is one."""
    images = torch.randint(0, 256, (64, SIZE, SIZE, 1), generator=stream(7, "blobs")).byte()
    task = build(PROBLEMS[name], "float64", replicas)
    if state is not None:
        task.load_state_dict({key: tensor.clone() for key, tensor in state.items()})
    plan = Plan(stop * BATCH, BATCH, Cadence(report=10 * BATCH), seed=3)
    for _ in run(task, Images(images, torch.arange(64) % 3), plan, replicas, start * BATCH):
        pass
    return task.state_dict()


def legs(replicas: Replicas) -> dict[str, Any]:
    """On two workers: the snapshot, and the whole way."""
    return {
        name: {
            "snapshot": states(replicas, name, 0, BEFORE, None),
            "whole": states(replicas, name, 0, BEFORE + AFTER, None),
        }
        for name in PROBLEMS
    }


def continued(replicas: Replicas, told: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    return {
        name: states(replicas, name, BEFORE, BEFORE + AFTER, told[name]["snapshot"])
        for name in PROBLEMS
    }


@pytest.fixture(scope="module")
def two() -> dict[str, Any]:
    return dict(on_ranks(2, legs)[0])


@pytest.mark.parametrize("workers", [1, 4])
def test_the_next_twenty_steps_are_the_same(two: dict[str, Any], workers: int) -> None:
    found = on_ranks(workers, continued, two)[0]
    for name, told in two.items():
        assert any(
            not torch.equal(told["snapshot"][key], told["whole"][key]) for key in found[name]
        )
        for key, tensor in told["whole"].items():
            apart = (tensor - found[name][key]).double().norm()
            assert apart <= 1e-9 * tensor.double().norm(), (name, key)
