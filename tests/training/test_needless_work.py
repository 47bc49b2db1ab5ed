"""What a GAN's step does once, and what it does not do at all."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ganlib.config import ClassifierConfig, GanConfig, overlay
from ganlib.determinism import Replicas
from ganlib.training import classifier_task, gan_task, sight
from ganlib.training.classifier_task import ClassifierTask
from ganlib.training.feed import blank
from ganlib.training.gan_task import GanTask
from ganlib.training.judging import Judging
from ganlib.training.optimiser import Optimiser
from ganlib.training.precision import Arithmetic, resolve
from tests.training.test_gan_parts import BASE, BATCH, PARTS, SIZE, built, config_of, step

R1 = {"penalties.r1.gamma": 1}
R2 = {"penalties.r2.gamma": 1}
GP = {"penalties.wgan_gp.weight": 1}


def task_of(config: GanConfig, precision: Any) -> GanTask:
    cpu = torch.device("cpu")
    data = {"size": SIZE, "channels": 1, "classes": ("a", "b", "c")}
    arithmetic = resolve(precision, cpu, SIZE)
    return GanTask(config, **data, arithmetic=arithmetic, replicas=Replicas(), device=cpu)


def looked(task: GanTask, number: int = 0) -> list[int]:
    """How many images each forward pass of the discriminator's own step sees."""
    seen: list[int] = []

    def note(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if any(parameter.requires_grad for parameter in module.parameters()):
            seen.append(len(inputs[0]))

    handle = task.discriminator.register_forward_hook(note)
    step(task, number, Replicas())
    handle.remove()
    return seen


@pytest.mark.parametrize(
    ("changes", "float32", "bfloat16"),
    [
        ({}, [32], [32]),
        (R1, [16, 16], [16, 32]),
        (R2, [16, 16], [16, 32]),
        (R1 | R2, [16, 16], [16, 16, 32]),
        (GP, [16, 32], [16, 32]),
        (GP | R1, [16, 16, 16], [16, 16, 32]),
    ],
)
def test_logits_a_slope_was_taken_of_are_not_asked_for_again(
    changes: dict[str, Any], float32: list[int], bfloat16: list[int]
) -> None:
    """But under bfloat16 they are: the slope is float32, and the loss is of bfloat16 logits."""
    for precision, expected in (("float32", float32), ("float64", float32), ("bfloat16", bfloat16)):
        assert looked(task_of(overlay(BASE, changes), precision)) == expected, precision


def test_steps_without_a_penalty_look_at_both_halves_together() -> None:
    task = task_of(overlay(BASE, {"penalties.r1": {"gamma": 1, "every": 3}}), "float32")
    assert [looked(task, number) for number in range(4)] == [[16, 16], [32], [32], [16, 16]]


def test_what_was_to_be_compiled_and_is_not_shares_them_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CXX", "g++")
    task = task_of(overlay(BASE, R1 | {"compile": "inductor"}), "float32")
    assert task.passes.reason
    assert looked(task) == [16, 16]


class Apart(Judging):
    """Asks again for what it knows."""

    shares = False


@pytest.mark.parametrize("name", ["lazy r1", "r3gan's", "packs", "stddev"])
def test_sharing_them_changes_nothing(name: str) -> None:
    config = overlay(config_of(name), R1 | R2 if name == "stddev" else {})
    shared, apart = built(config, Replicas()), built(config, Replicas())
    assert shared.judging.shares
    apart.judging = Apart(*(getattr(apart.judging, f.name) for f in fields(Judging)))
    for number in range(2):
        ours, theirs = (step(task, number, Replicas()) for task in (shared, apart))
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, rtol=1e-9, atol=1e-12)
        gradients = zip(
            shared.discriminator.parameters(), apart.discriminator.parameters(), strict=True
        )
        for one, other in gradients:
            if one.grad is not None and other.grad is not None and number == 0:
                assert (one.grad - other.grad).norm() <= 1e-10 * other.grad.norm().clamp_min(1e-6)


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        ({}, 3),
        ({"loss.kind": "relativistic_paired"}, 4),
        ({"discriminator.unrolled": 1}, 4),
        ({"generator.steps": 2}, 4),
        ({"discriminator.steps": 2}, 5),
    ],
)
def test_a_generator_draws_no_change_of_real_images_it_does_not_look_at(
    changes: dict[str, Any], drawn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = built(overlay(BASE, {"augmentation.kind": "diffaugment"} | changes), Replicas())
    purposes: list[str] = []
    draws = task.sight.draws

    def noted(purpose: str, *rest: Any) -> Any:
        purposes.append(purpose)
        return draws(purpose, *rest)

    monkeypatch.setattr(task.sight, "draws", noted)
    step(task, 0, Replicas())
    assert len(purposes) == drawn
    real = any(purpose.startswith("real/generator") for purpose in purposes)
    assert real == (changes.keys() <= {"loss.kind", "discriminator.unrolled"} and bool(changes))


@pytest.mark.parametrize(("name", "norms"), [("loss hinge", 2), ("lazy r1", 3), ("classifier", 0)])
def test_a_gradient_is_measured_where_its_norm_is_told(
    name: str, norms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each player's, in each of its steps, for the readings of collapse; no classifier's."""
    measured: list[int] = []
    real = torch.nn.utils.get_total_norm

    def norm(tensors: Any) -> Tensor:
        measured.append(len(tensors))
        return real(tensors)

    monkeypatch.setattr(torch.nn.utils, "get_total_norm", norm)
    if name in CLASSIFIERS:
        cpu = torch.device("cpu")
        data = {"size": SIZE, "channels": 1, "classes": ("a", "b", "c")}
        rest = {"arithmetic": Arithmetic(), "replicas": Replicas(), "device": cpu}
        learner = ClassifierTask(CLASSIFIERS[name], **data, **rest)
        learner.step(blank(64, SIZE, 1, cpu), 0, Replicas())
    else:
        step(built(config_of(name), Replicas()), 0, Replicas())
    assert len(measured) == norms


class Copies(TorchDispatchMode):
    """Which operations bring a tensor from the host to a device that has no memory.

    Whatever asks that device for a number, as an `if` would, fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.allowed = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **kwargs or {})
        places = [tensor.device.type for tensor in (*args, given) if isinstance(tensor, Tensor)]
        if not self.allowed and "copy" in func.__name__ and {"cpu", "meta"} <= set(places):
            self.found.append(func.__name__)
        return given

    def sent(self, tensor: Tensor, device: torch.device) -> Tensor:
        """In place of the copy from pinned memory, which alone does not wait."""
        self.allowed = True
        try:
            return tensor.to(device)
        finally:
            self.allowed = False


CLASSIFIERS = {
    "classifier": ClassifierConfig(),
    "distorted and mixed": overlay(
        ClassifierConfig(mixup=0.5),
        {"distortion": {"shift": 2, "flip": True, "rotate": 10, "shear": 0.1, "scale": 0.1}},
    ),
}


def without_moving(optimiser: Optimiser, losses: Iterable[Tensor], *rest: Any) -> None:
    """As `Optimiser.step`, but nothing moves: the losses are made, and slopes are zero."""
    for _ in losses:
        pass
    for parameter in optimiser.named.values():
        parameter.grad = torch.zeros_like(parameter)


@pytest.mark.parametrize("name", [*PARTS, *CLASSIFIERS])
def test_a_step_never_waits_for_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copies, device = Copies(), torch.device("meta")
    for module in (gan_task, classifier_task, sight):
        monkeypatch.setattr(module, "sent", copies.sent)
    # Neither of torch's fused steps nor its autocast is made for such a device.
    monkeypatch.setattr(Optimiser, "step", without_moving)
    monkeypatch.setattr(torch, "autocast", lambda *rest, **named: nullcontext())
    data = {"size": SIZE, "channels": 1, "classes": ("a", "b", "c")}
    rest = {"arithmetic": Arithmetic(), "replicas": Replicas(), "device": device}
    task: GanTask | ClassifierTask
    count = 64
    if name in CLASSIFIERS:
        task = ClassifierTask(CLASSIFIERS[name], **data, **rest)
    else:
        config = config_of(name)
        task, count = GanTask(config, **data, **rest), config.discriminator.steps * BATCH
    with copies:
        told = task.step(blank(count, SIZE, 1, device), 0, Replicas())
    assert {value.device for value in told.values()} == {device}
    assert copies.found == []
