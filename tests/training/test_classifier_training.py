"""Every classifier and every setting of its training: exact after a restart and on two workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from ganlib.config import (
    Adam,
    AlexNet,
    Budget,
    CifarResNet,
    ClassifierConfig,
    ClassifierNetwork,
    Custom,
    Distortion,
    LeNet5,
    OneCycle,
    ResNet18,
    Sgd,
    SmallResNet,
    Step,
    overlay,
)
from ganlib.data import Dataset
from ganlib.determinism import Replicas, stream
from ganlib.errors import ConfigError
from ganlib.models.layers import BatchNorm
from ganlib.training.classifier_task import ClassifierTask
from ganlib.training.execute import execute
from ganlib.training.loop import Batch
from ganlib.training.precision import Arithmetic
from tests.ranks import on_ranks
from tests.training.conftest import often, spec_of

SIZE, BATCH, CLASSES = 12, 16, 3
SMALL: dict[type, dict[str, Any]] = {
    AlexNet: {"width": 4},
    ResNet18: {"width": 4},
    SmallResNet: {"width": 4},
}
SMALL_ALEXNET = AlexNet(width=4)
BASE = ClassifierConfig(
    batch_size=BATCH,
    network=LeNet5(),
    optimiser=Sgd(learning_rate=0.02, nesterov=True, weight_decay=1e-3),
    schedule=Step(warmup_images=48),
    distortion=Distortion(shift=2, flip=True),
    budget=Budget(images=BATCH * 8),
)
MEMBERS = [m for m in get_args(get_args(ClassifierNetwork)[0]) if m is not Custom]
PROBLEMS: dict[str, ClassifierConfig] = {
    **{
        m.model_fields["kind"].default: overlay(BASE, {"network": m(**SMALL.get(m, {}))})
        for m in MEMBERS
    },
    "mixup": overlay(BASE, {"mixup": 0.4, "label_smoothing": 0.1, "schedule": OneCycle()}),
    "balanced": overlay(BASE, {"class_weights": "balanced", "mixup": 1.0}),
    "warped": overlay(BASE, {"distortion.rotate": 20.0, "distortion.scale": 0.2}),
    "weighted": overlay(BASE, {"class_weights": (1.0, 0.5, 2.0)}),
    "in parts": overlay(BASE, {"network": SMALL_ALEXNET, "mixup": 0.4, "accumulate": 4}),
}


def build(
    config: ClassifierConfig, arithmetic: Arithmetic, replicas: Replicas, **changes: Any
) -> ClassifierTask:
    given: dict[str, Any] = {
        "size": SIZE,
        "channels": 3,
        "classes": ("a", "b", "c"),
        "device": torch.device("cpu"),
        "count_K": torch.tensor([10, 20, 70]),
    }
    return ClassifierTask(config, arithmetic=arithmetic, replicas=replicas, **(given | changes))


def train(
    task: ClassifierTask, replicas: Replicas, first: int, last: int, size: int = BATCH
) -> list[float]:
    """Steps `first` to `last`, each on a batch of its own; the losses as one worker sees them."""
    losses = []
    for step in range(first, last):
        generator = stream(step, "batch")
        image_NHWC = torch.randint(256, (size, SIZE, SIZE, 3), generator=generator).byte()
        label_N = torch.randint(CLASSES, (size,), generator=generator)
        batch = Batch(replicas.slice(image_NHWC), replicas.slice(label_N))
        scalars = task.step(batch, step * size, replicas)
        losses.append(replicas.mean(scalars["loss"].double()).item())
    return losses


def states(replicas: Replicas) -> dict[str, dict[str, Tensor]]:
    found = {}
    for name, config in PROBLEMS.items():
        task = build(config, Arithmetic(torch.float64), replicas)
        losses = torch.tensor(train(task, replicas, 0, 6), dtype=torch.float64)
        found[name] = {**task.state_dict(), "losses": losses}
    return found


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, Tensor]]:
    return states(Replicas())


@pytest.fixture(scope="module")
def two_ranks() -> list[dict[str, dict[str, Tensor]]]:
    return on_ranks(2, states)


@pytest.mark.parametrize("name", PROBLEMS)
def test_one_worker_equals_two(
    alone: dict[str, dict[str, Tensor]], two_ranks: list[dict[str, dict[str, Tensor]]], name: str
) -> None:
    """Dropped units, mixed partners and class weights too: 1e-9 of each tensor's norm."""
    first, second = (rank[name] for rank in two_ranks)
    for key, tensor in alone[name].items():
        assert torch.equal(first[key], second[key]), key
        assert (tensor - first[key]).norm() <= 1e-9 * tensor.norm(), key


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_task_goes_on_bit_for_bit(name: str, bfloat16: bool) -> None:
    arithmetic = Arithmetic(bfloat16=bfloat16, channels_last=True)
    config, replicas = PROBLEMS[name], Replicas()
    whole, rest = (build(config, arithmetic, replicas) for _ in range(2))
    train(whole, replicas, 0, 2)
    rest.load_state_dict({k: v.contiguous().clone() for k, v in whole.state_dict().items()})
    expected, found = (train(task, replicas, 2, 4) for task in (whole, rest))
    assert found == expected
    after = rest.state_dict()
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, after[key]), key


@pytest.mark.parametrize(
    "changes",
    [
        {"network": LeNet5(), "class_weights": (1.0, 0.5, 2.0), "optimiser": Adam()},
        {"network": SMALL_ALEXNET, "mixup": 0.4, "distortion.rotate": 20.0},
    ],
    ids=["lenet5", "alexnet"],
)
def test_a_step_of_128_is_four_of_32(changes: dict[str, Any]) -> None:
    """Dropped units, mixed partners, distortions and weights too: 1e-9 of each tensor's norm."""
    config = overlay(BASE, {"batch_size": 128, **changes})
    whole, parts, other = (
        build(overlay(config, {"accumulate": n}), Arithmetic(torch.float64), Replicas())
        for n in (1, 4, 4)
    )
    learnt = [train(task, Replicas(), 0, 3, 128) for task in (whole, parts)]
    assert learnt[0] == pytest.approx(learnt[1], rel=1e-12)
    found, start = parts.state_dict(), other.state_dict()
    for key, tensor in whole.state_dict().items():
        assert (tensor - found[key]).norm() <= 1e-9 * tensor.norm(), key
        assert key not in start or not torch.equal(tensor, start[key]), key


def test_parts_reach_the_network_one_after_the_other() -> None:
    seen: list[int] = []
    task = build(overlay(BASE, {"accumulate": 4}), Arithmetic(), Replicas())
    task.classifier.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    train(task, Replicas(), 0, 2)
    assert seen == [BATCH // 4] * 8


def own_network(*, size: int, channels: int, classes: int, ours: bool) -> nn.Module:
    norm = BatchNorm(channels) if ours else nn.BatchNorm2d(channels)
    network = nn.Sequential(norm, nn.Flatten(), nn.Linear(size * size * channels, classes))
    network.features, network.head = network[:2], network[2]
    network.feature_size = size * size * channels  # type: ignore[assignment]
    return network


@pytest.mark.parametrize("ours", [False, True])
def test_parts_of_a_batch_are_refused_to_a_network_of_ones_own_with_batch_norm(ours: bool) -> None:
    own = Custom(build=f"{__name__}:own_network", options={"ours": ours})
    build(overlay(BASE, {"network": own}), Arithmetic(), Replicas())
    with pytest.raises(
        ConfigError, match=r"own_network: accumulate is 2.*over the whole"
    ) as caught:
        build(overlay(BASE, {"network": own, "accumulate": 2}), Arithmetic(), Replicas())
    assert caught.value.where == "classifier.network"


def test_mixing_and_dropping_change_what_is_learnt(alone: dict[str, dict[str, Tensor]]) -> None:
    replicas, arithmetic = Replicas(), Arithmetic(torch.float64)
    plain = train(build(BASE, arithmetic, replicas), replicas, 0, 1)
    for name in ("mixup", "balanced", "warped", "weighted"):
        assert alone[name]["losses"][0] != plain[0], name
    undropped = overlay(PROBLEMS["alexnet"], {"network.dropout": 0.0})
    without = train(build(undropped, arithmetic, replicas), replicas, 0, 1)
    assert alone["alexnet"]["losses"][0] != without[0]


def test_a_mixture_is_learnt_as_its_two_halves_by_hand() -> None:
    """Two images, alpha so large that each share is one half: the mean of both labels' losses."""
    config = ClassifierConfig(batch_size=2, network=CifarResNet(), mixup=10, optimiser=Sgd())
    task = build(config, Arithmetic(torch.float64), Replicas())
    image_NHWC = torch.randint(256, (2, SIZE, SIZE, 3), generator=stream(0, "x")).byte()
    label_N = torch.tensor([0, 2])
    clock = next(c for c in range(99) if torch.randperm(2, generator=stream(0, "mixup", c))[0])
    from ganlib.augmentation.mixup import draw_mixup

    partner_N, share_N = draw_mixup(2, 10, stream(0, "mixup", clock))
    assert partner_N.tolist() == [1, 0]
    image_NCHW = task.arithmetic.images(image_NHWC)
    own_N111 = share_N[:, None, None, None]
    mixed_NCHW = own_N111 * image_NCHW + (1 - own_N111) * image_NCHW.flip(0)
    told_NK = torch.zeros(2, 3, dtype=torch.float64)
    told_NK[0, 0], told_NK[0, 2] = share_N[0], 1 - share_N[0]
    told_NK[1, 2], told_NK[1, 0] = share_N[1], 1 - share_N[1]
    expected = -(told_NK * task.classifier(mixed_NCHW).log_softmax(1)).sum(1).mean()
    found = task.step(Batch(image_NHWC, label_N), clock, Replicas())["loss"]
    torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize(
    ("weights", "count_K", "said"),
    [((1.0, 2.0), None, "2 class weights for 3 classes"), ("balanced", None, "number of images")],
)
def test_class_weights_that_fit_no_class_are_refused(
    weights: object, count_K: Tensor | None, said: str
) -> None:
    config = overlay(BASE, {"class_weights": weights})
    with pytest.raises(ConfigError, match=said) as caught:
        build(config, Arithmetic(), Replicas(), count_K=count_K)
    assert caught.value.where == "classifier.class_weights"


def test_a_run_counts_its_classes_and_reads_calibration_and_five_guesses(
    digits: Dataset, tmp_path: Path
) -> None:
    config = ClassifierConfig(
        network=SmallResNet(width=4),
        class_weights="balanced",
        budget=Budget(images=1_280),
        cadence=often(640),
    )
    readings = execute(spec_of(config, digits, tmp_path)).readings
    assert set(readings) == {"accuracy", "loss", "calibration_error", "top5"}
    assert readings["accuracy"] < readings["top5"] <= 1
    assert 0 < readings["calibration_error"] < 1
