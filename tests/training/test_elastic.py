"""Snapshotted on two workers and continued on one or four, the next steps are the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from ganlib.config import (
    Adam,
    Cadence,
    ClassifierConfig,
    ClassifierNetwork,
    GanConfig,
    GeneratorNetwork,
    LeNet5,
    overlay,
)
from ganlib.config.gan_networks import Norm
from ganlib.data import Images
from ganlib.determinism import Replicas, stream
from ganlib.errors import ConfigError
from ganlib.training.loop import Plan, run
from tests.ranks import on_ranks
from tests.training.test_every_combination import SMALL, kinds
from tests.training.test_gan_parts import R3GAN
from tests.training.test_replicated_training import NETWORKS, SIZE, build

BEFORE, AFTER, BATCH = 10, 20, 16
SLOW = {
    f"{player}.optimiser": Adam(learning_rate=1e-4, beta1=0.5)
    for player in ("generator", "discriminator")
}
"""Adam makes whole steps of gradients that are rounding, as where units are dead: small ones."""


def of_players() -> Iterator[tuple[str, GanConfig]]:
    """Both players of a kind with every norm that both may have."""
    for kind, norm in product(kinds(GeneratorNetwork), get_args(Norm)):
        network = {"kind": kind, **SMALL[kind], "norm": norm}
        players = {f"{player}.network": network for player in ("generator", "discriminator")}
        loss = R3GAN if kind == "r3gan" else {"loss.kind": "non_saturating"}
        try:
            yield f"{kind} {norm}", overlay(GanConfig(batch_size=BATCH), players | loss | SLOW)
        except ConfigError:
            continue


def of_classifiers() -> Iterator[tuple[str, ClassifierConfig]]:
    for kind in kinds(ClassifierNetwork):
        narrow = {"width": 4} if kind in ("resnet", "resnet18", "alexnet") else {}
        changes = {"network": {"kind": kind, **narrow}, "optimiser": {"learning_rate": 1e-5}}
        yield kind, overlay(ClassifierConfig(batch_size=BATCH), changes)


SHORT: dict[str, GanConfig | ClassifierConfig] = {
    "gan": overlay(
        GanConfig(batch_size=BATCH, **NETWORKS),
        {"augmentation.kind": "ada", "penalties.r1": {"gamma": 1, "every": 4}},
    ),
    "classifier": ClassifierConfig(batch_size=BATCH, network=LeNet5(), mixup=0.5),
}
EVERY: dict[str, GanConfig | ClassifierConfig] = dict([*of_players(), *of_classifiers()])
PROBLEMS = SHORT | EVERY


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


def legs(replicas: Replicas, names: list[str]) -> dict[str, Any]:
    """On two workers: the snapshot, and the whole way."""
    return {
        name: {
            "snapshot": states(replicas, name, 0, BEFORE, None),
            "whole": states(replicas, name, 0, BEFORE + AFTER, None),
        }
        for name in names
    }


def continued(replicas: Replicas, told: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    return {
        name: states(replicas, name, BEFORE, BEFORE + AFTER, told[name]["snapshot"])
        for name in told
    }


def assert_the_same(two: dict[str, Any], workers: int) -> None:
    found = on_ranks(workers, continued, two)[0]
    for name, told in two.items():
        assert any(
            not torch.equal(told["snapshot"][key], told["whole"][key]) for key in found[name]
        )
        for key, tensor in told["whole"].items():
            apart = (tensor - found[name][key]).double().norm()
            assert apart <= 1e-9 * tensor.double().norm(), (name, key)


@pytest.fixture(scope="module")
def two() -> dict[str, Any]:
    return dict(on_ranks(2, legs, list(SHORT))[0])


@pytest.fixture(scope="module")
def two_of_every() -> dict[str, Any]:
    return dict(on_ranks(2, legs, list(EVERY))[0])


def test_every_kind_of_network_is_in_the_table() -> None:
    found = {name.split()[0] for name in EVERY}
    assert found == {*kinds(GeneratorNetwork), *kinds(ClassifierNetwork)}
    pairs = {" ".join(pair) for pair in product(kinds(GeneratorNetwork), get_args(Norm))}
    left_out = {"mlp instance", *(f"r3gan {norm}" for norm in get_args(Norm) if norm != "none")}
    assert pairs - set(EVERY) == left_out


@pytest.mark.parametrize("workers", [1, 4])
def test_the_next_twenty_steps_are_the_same(two: dict[str, Any], workers: int) -> None:
    assert_the_same(two, workers)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_they_are_with_every_network_and_norm(two_of_every: dict[str, Any], workers: int) -> None:
    assert_the_same(two_of_every, workers)
