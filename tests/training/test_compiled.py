"""Compiled forward passes: the same steps, and without a compiler the same run with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ganlib.config import Budget, ClassifierConfig, Compile, GanConfig, SmallResNet, overlay
from ganlib.data import Dataset
from ganlib.determinism import Replicas, stream
from ganlib.models import load_model
from ganlib.training import MemoryTracker
from ganlib.training.classifier_task import ClassifierTask
from ganlib.training.compiled import Pass
from ganlib.training.execute import execute
from ganlib.training.gan_task import GanTask
from ganlib.training.loop import Batch
from ganlib.training.precision import Precision, resolve
from tests.ranks import on_ranks
from tests.training.conftest import often, spec_of
from tests.training.test_gan_parts import BASE, BATCH, PARTS, SIZE, worst

CNN = ClassifierConfig(network=SmallResNet(width=8), batch_size=BATCH)
Settings = GanConfig | ClassifierConfig
TASKS: dict[str, Settings] = {"gan": BASE, "classifier": CNN}
STEPS = 3
ALONE = Replicas()


def built(
    config: Settings, precision: Precision = "float64", replicas: Replicas = ALONE
) -> GanTask | ClassifierTask:
    cpu = torch.device("cpu")
    made: dict[str, Any] = {
        "size": SIZE,
        "channels": 1,
        "classes": ("a", "b", "c"),
        "arithmetic": resolve(precision, cpu, SIZE),
        "replicas": replicas,
        "device": cpu,
    }
    return (
        GanTask(config, **made) if isinstance(config, GanConfig) else ClassifierTask(config, **made)
    )


def trained(task: GanTask | ClassifierTask) -> dict[str, Tensor]:
    """The state after some steps, the last one's scalars beside it."""
    draws = task.config.discriminator.steps if isinstance(task, GanTask) else 1
    told: dict[str, Tensor] = {}
    for number in range(STEPS):
        images = stream(number, "images")
        shape = (draws * BATCH, SIZE, SIZE, 1)
        image_NHWC = torch.randint(0, 256, shape, generator=images).byte()
        label_N = torch.randint(0, 3, (draws * BATCH,), generator=images)
        told = task.step(Batch(image_NHWC, label_N), number * draws * BATCH, Replicas())
    return task.state_dict() | {f"told.{name}": value for name, value in told.items()}


def asking(config: Settings, how: Compile = "inductor") -> Settings:
    return overlay(config, {"compile": how})


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of torch.compile but the writing of kernels, which takes a C++ compiler and its time."""

    def compiled(forward: Pass, asked: Compile) -> Pass:
        return torch.compile(forward, dynamic=False, backend="aot_eager")

    monkeypatch.setattr("ganlib.training.compiled.compiled", compiled)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", ["packs", "classifier"])
def test_a_compiled_step_is_the_step(name: str) -> None:
    """With spectral and batch norm, packs, and a penalty taken of the module itself."""
    config = CNN if name == "classifier" else overlay(BASE, PARTS[name])
    task = built(asking(config))
    assert task.passes.facts == {"asked": "inductor", "compiled": True, "reason": ""}
    apart, which = worst(trained(built(config)), trained(task))
    assert apart <= 1e-9, which


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_inductors_step_is_the_step(name: str) -> None:
    task = built(asking(TASKS[name]), "float32")
    assert task.passes.compiled, task.passes.reason
    apart, which = worst(trained(built(TASKS[name], "float32")), trained(task))
    assert apart <= 1e-4, which


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("inductor", r"there is no C\+\+ compiler g\+\+ in PATH"),
        ("cuda_graphs", "CUDA graphs need a CUDA device, and this is cpu"),
    ],
)
def test_what_the_machine_lacks_is_said_and_left_out(
    name: str, how: Compile, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CXX", "g++")
    task = built(asking(TASKS[name], how))
    assert not task.passes.compiled
    assert task.passes.reason == reason.replace("\\", "")
    plain = trained(built(TASKS[name]))
    assert all(torch.equal(tensor, plain[key]) for key, tensor in trained(task).items())


@pytest.mark.parametrize("name", TASKS)
def test_what_fails_to_compile_is_trained_as_if_nobody_had_asked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails in the last player's pass, when the first one's has moved its running statistics."""

    def compiled(forward: Pass, asked: Compile) -> Pass:
        def call(*inputs: Tensor) -> Tensor:
            if inputs[0].shape[1:] == (1, SIZE, SIZE):
                raise RuntimeError("no kernel\n  for this")
            return forward(*inputs)

        return call

    monkeypatch.setattr("ganlib.training.compiled.compiled", compiled)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    torch.manual_seed(5)
    task = built(asking(TASKS[name]))
    drawn = torch.rand(())
    assert task.passes.reason == "RuntimeError: no kernel for this"
    plain = trained(built(TASKS[name]))
    assert all(torch.equal(tensor, plain[key]) for key, tensor in trained(task).items())
    torch.manual_seed(5)
    assert torch.equal(torch.rand(()), drawn)


def test_looking_ahead_is_not_compiled() -> None:
    config = overlay(BASE, PARTS["unrolled"])
    assert "discriminator.unrolled" in built(asking(config)).passes.reason


def facts(replicas: Replicas, name: str) -> dict[str, Any]:
    return built(asking(TASKS[name]), replicas=replicas).passes.facts


def test_sums_over_workers_are_not_compiled() -> None:
    for rank, told in enumerate(on_ranks(2, facts, "gan")):
        assert not told["compiled"], rank
        assert told["reason"] == "the batch norm of generator is over all workers"


@pytest.mark.parametrize("name", TASKS)
def test_a_run_notes_the_reason_once_and_records_it(
    name: str, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CXX", "g++")
    config = overlay(TASKS[name], {"budget": Budget(images=64), "cadence": often(32)})
    tracker = MemoryTracker()
    outcome = execute(spec_of(asking(config), digits, tmp_path), tracker=tracker)
    reason = "there is no C++ compiler g++ in PATH"
    assert [line["text"] for line in tracker.of("note")] == [f"not compiled by inductor: {reason}"]
    meta = json.loads((Path(outcome.model) / "network.json").read_text())["meta"]
    assert meta["belongs"]["compiled"] == {
        "asked": "inductor",
        "compiled": False,
        "reason": reason,
    }
    assert execute(spec_of(asking(config), digits, tmp_path), tracker=tracker) == outcome


@pytest.mark.usefixtures("traced")
def test_what_a_compiled_run_saves_is_what_any_run_saves(digits: Dataset, tmp_path: Path) -> None:
    config = overlay(BASE, {"budget": Budget(images=64), "cadence": often(32)})
    models, states = {}, {}
    for how in ("none", "inductor"):
        folder = tmp_path / how
        outcome = execute(spec_of(asking(config, how), digits, folder))
        models[how] = load_model(Path(outcome.model)).module.state_dict()
        states[how] = {path.relative_to(folder) for path in (folder / "snapshots").rglob("*.json")}
    assert models["none"].keys() == models["inductor"].keys()
    assert states["none"] == states["inductor"]
    for name, tensor in models["none"].items():
        torch.testing.assert_close(models["inductor"][name], tensor, rtol=2e-2, atol=2e-3)
