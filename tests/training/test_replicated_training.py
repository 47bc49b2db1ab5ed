"""One worker and two compute the same steps, up to the rounding of a sum in another order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ganlib.config import (
    Adam,
    Cadence,
    ClassifierConfig,
    Config,
    Cosine,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    Distortion,
    Ema,
    GanConfig,
    GeneratorConfig,
    LeNet5,
    NonSaturating,
    SmallResNet,
    overlay,
)
from ganlib.data import Images
from ganlib.determinism import Replicas, stream
from ganlib.training.classifier_task import ClassifierTask
from ganlib.training.gan_task import GanTask
from ganlib.training.loop import Moment, Plan, Report, Task, run
from ganlib.training.precision import resolve
from tests.ranks import on_ranks

STEPS = 20
SIZE = 12
NETWORKS = {
    "generator": GeneratorConfig(network=DcganGenerator(width=8, latent_size=8)),
    "discriminator": DiscriminatorConfig(network=DcganDiscriminator(width=8)),
}
PROBLEMS: dict[str, GanConfig | ClassifierConfig] = {
    "gan": GanConfig(batch_size=16, ema=Ema(half_life=100), **NETWORKS),
    "gan of several steps": GanConfig(
        batch_size=16,
        loss=NonSaturating(),
        schedule=Cosine(warmup_images=64),
        generator=NETWORKS["generator"].model_copy(update={"steps": 2}),
        discriminator=NETWORKS["discriminator"].model_copy(update={"steps": 3}),
    ),
    "resnet": ClassifierConfig(
        batch_size=16, network=SmallResNet(width=8), distortion=Distortion(shift=2, flip=True)
    ),
    "lenet5": ClassifierConfig(batch_size=16, network=LeNet5(), label_smoothing=0.1),
}


def slowed(config: GanConfig | ClassifierConfig) -> GanConfig | ClassifierConfig:
    """Adam turns the rounding of gradients that are nearly zero into whole steps of the learning
    rate; in float32 the rounding is large enough for that to show, so the rate is small."""
    if isinstance(config, ClassifierConfig):
        return overlay(config, {"optimiser": Adam(learning_rate=1e-5)})
    slow = Adam(learning_rate=1e-4, beta1=0.5)
    return overlay(config, {"generator.optimiser": slow, "discriminator.optimiser": slow})


def build(config: Config, precision: str, replicas: Replicas) -> Task:
    cpu = torch.device("cpu")
    data = {"size": SIZE, "channels": 1, "classes": ("a", "b", "c")}
    rest = {"arithmetic": resolve(precision, cpu, SIZE), "replicas": replicas, "device": cpu}
    if isinstance(config, GanConfig):
        return GanTask(config, **data, **rest)
    return ClassifierTask(config, **data, **rest)


def train(
    name: str, precision: str, replicas: Replicas, *, slow: bool = False
) -> tuple[dict[str, Tensor], list[Moment]]:
    """The state after twenty steps on blobs whose place is their class, and all reports."""
    config = PROBLEMS[name] if precision == "float64" and not slow else slowed(PROBLEMS[name])
    draws = config.discriminator.steps if isinstance(config, GanConfig) else 1
    label_N = torch.arange(100) % 3
    image_NHWC = torch.randint(0, 90, (100, SIZE, SIZE, 1), generator=stream(7, "blobs")).byte()
    for row_HWC, label in zip(image_NHWC, label_N, strict=True):
        row_HWC[2 + 3 * label : 5 + 3 * label, 4:8] += 150
    task = build(config, precision, replicas)
    turn = 16 * draws
    plan = Plan(STEPS * turn, 16, Cadence(report=5 * turn), seed=3, draws=draws)
    moments = list(run(task, Images(image_NHWC, label_N), plan, replicas))
    return task.state_dict(), moments


def all_states(replicas: Replicas) -> dict[str, dict[str, Tensor]]:
    """Of every problem in both precisions, with the means that were reported beside the weights."""
    found = {}
    for precision in ("float64", "float32"):
        for name in PROBLEMS:
            state, moments = train(name, precision, replicas)
            values = [m.values for m in moments if isinstance(m, Report)]
            for key in values[0]:
                told = [step[key] for step in values]
                state[f"reported.{key}"] = torch.tensor(told, dtype=torch.float64)
            found[f"{precision}/{name}"] = state
    return found


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, Tensor]]:
    return all_states(Replicas())


@pytest.fixture(scope="module")
def two_ranks() -> list[dict[str, dict[str, Tensor]]]:
    return on_ranks(2, all_states)


@pytest.mark.parametrize(("precision", "limit"), [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize("name", PROBLEMS)
def test_one_worker_equals_two(
    alone: dict[str, dict[str, Tensor]],
    two_ranks: list[dict[str, dict[str, Tensor]]],
    name: str,
    precision: str,
    limit: float,
) -> None:
    expected = alone[f"{precision}/{name}"]
    for rank in two_ranks:
        state = rank[f"{precision}/{name}"]
        assert state.keys() == expected.keys()
        for key, tensor in expected.items():
            apart = (tensor.double() - state[key].double()).norm()
            assert apart <= limit * tensor.double().norm(), key


@pytest.mark.parametrize("name", PROBLEMS)
def test_both_ranks_hold_the_same_bits(
    two_ranks: list[dict[str, dict[str, Tensor]]], name: str
) -> None:
    first, second = (rank[f"float32/{name}"] for rank in two_ranks)
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key]), key
