"""Schedules, averages, Adam, snapshots and the loop, each by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganlib.config import (
    Adam,
    Budget,
    Cadence,
    ClassifierConfig,
    Constant,
    Cosine,
    Plateau,
    SmallResNet,
)
from ganlib.data import Dataset, Images
from ganlib.determinism import Replicas
from ganlib.errors import ConfigError, Damaged, Diverged
from ganlib.storage import LocalStore, MemoryStore
from ganlib.training import ema
from ganlib.training.execute import execute
from ganlib.training.loop import Batch, Done, Evaluate, Plan, Report, Sample, Snapshot, run
from ganlib.training.optimiser import Optimiser
from ganlib.training.precision import Arithmetic, resolve
from ganlib.training.schedule import factor
from ganlib.training.snapshots import Snapshots
from ganlib.training.stops import Reading, on_plateau, stalled
from tests.training.conftest import spec_of

CPU = torch.device("cpu")


def test_cosine_by_hand() -> None:
    cosine = Cosine(warmup_images=99, final=0.1)
    assert factor(Constant(), 12_345, 1) == 1.0
    assert factor(cosine, 0, 1_099) == pytest.approx(0.01)
    assert factor(cosine, 99, 1_099) == 1.0
    assert factor(cosine, 599, 1_099) == pytest.approx(0.55)
    assert factor(cosine, 1_099, 1_099) == factor(cosine, 2_000, 1_099) == pytest.approx(0.1)


def test_the_average_halves_the_distance_in_a_half_life() -> None:
    player, average = nn.Linear(3, 2), None
    average = ema.start(player)
    before = average.weight.clone()
    nn.init.ones_(player.weight)
    ema.follow(average, player, images=500, half=1_000)
    ema.follow(average, player, images=500, half=1_000)
    torch.testing.assert_close(average.weight, (before + 1) / 2)
    ema.follow(average, player, images=1, half=0)
    assert torch.equal(average.weight, player.weight)
    assert not average.weight.requires_grad
    assert ema.half_life(1_000, 0.05, 2_000) == 100
    assert ema.half_life(1_000, 0.05, 10**9) == 1_000


def quadratic(module: nn.Module) -> Tensor:
    image_NCHW = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)
    return module(image_NCHW).square().mean()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_fused_adam_equals_the_plain_one_and_continues(
    layout: torch.memory_format, weight_decay: float
) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, 3).to(torch.float64).to(memory_format=layout)

    config = Adam(learning_rate=0.01, beta1=0.5, weight_decay=weight_decay)
    plain, ours, continued = build(), build(), build()
    torch.set_default_dtype(torch.float64)
    try:
        reference = torch.optim.AdamW(
            plain.parameters(), lr=0.005, betas=(0.5, 0.999), weight_decay=weight_decay
        )
        optimiser = Optimiser(ours, config)
        for _ in range(3):
            reference.zero_grad()
            quadratic(plain).backward()
            reference.step()
            optimiser.step(quadratic(ours), 0.5, Replicas())
        continued.load_state_dict(ours.state_dict())
        again = Optimiser(continued, config)
        again.load_state_dict({k: v.contiguous() for k, v in optimiser.state_dict().items()})
        for module, each in ((ours, optimiser), (continued, again)):
            for _ in range(3):
                each.step(quadratic(module), 0.5, Replicas())
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(ours.weight, continued.weight)
    for _ in range(3):
        reference.zero_grad()
        quadratic_64(plain).backward()
        reference.step()
    torch.testing.assert_close(plain.weight, ours.weight, rtol=1e-12, atol=0)


def quadratic_64(module: nn.Module) -> Tensor:
    image_NCHW = torch.linspace(-1, 1, 2 * 3 * 8 * 8, dtype=torch.float64).view(2, 3, 8, 8)
    return module(image_NCHW).square().mean()


def test_precision_is_a_rule_of_hardware_and_configuration() -> None:
    assert resolve("float64", CPU, 64) == Arithmetic(torch.float64)
    assert resolve("float32", CPU, 8) == Arithmetic()
    assert resolve("bfloat16", CPU, 32) == Arithmetic(bfloat16=True, channels_last=True)
    assert resolve("auto", CPU, 28) == resolve("auto", CPU, 28)
    assert resolve("bfloat16", CPU, 8).name == "bfloat16"
    assert resolve("tf32", CPU, 8) == Arithmetic()


@pytest.mark.parametrize(
    ("capability", "asked", "name", "tf32"),
    [
        ((8, 0), "auto", "bfloat16", True),
        ((8, 0), "bfloat16", "bfloat16", True),
        ((8, 0), "tf32", "tf32", True),
        ((8, 0), "float32", "float32", False),
        ((8, 0), "float64", "float64", False),
        ((7, 5), "auto", "float32", False),
        ((7, 5), "tf32", "float32", False),
    ],
)
def test_a_gpu_that_has_tf32_uses_it_unless_told_not_to(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], asked: Any, name: str, tf32: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = resolve(asked, torch.device("cuda"), 32)
    assert (found.name, found.tf32) == (name, tf32)
    of_slopes = resolve(asked, torch.device("cuda"), 32, slopes=True)
    assert of_slopes.tf32 == (tf32 and asked == "tf32")


def products() -> tuple[str, str]:
    backends = torch.backends
    return backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision


def test_tf32_is_set_for_products_and_convolutions_and_put_back() -> None:
    before = products()
    with Arithmetic(tf32=True).products():
        assert products() == ("tf32", "tf32")
        with Arithmetic().products():
            assert products() == ("ieee", "ieee")
        assert products() == ("tf32", "tf32")
    assert products() == before
    with pytest.raises(ZeroDivisionError), Arithmetic(tf32=True).products():
        raise ZeroDivisionError
    assert products() == before


def test_a_run_multiplies_as_its_precision_says_and_puts_back(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moments come from inside the loop; a CPU is told what a GPU would be."""
    monkeypatch.setattr(
        "ganlib.training.precision.resolve", lambda *_, slopes: Arithmetic(tf32=not slopes)
    )
    config = ClassifierConfig(network=SmallResNet(width=4), budget=Budget(images=64))
    before, seen = products(), set[tuple[str, str]]()
    spec = spec_of(config, digits, tmp_path)
    execute(spec, on_moment=lambda moment: seen.add(products()))
    assert seen == {("tf32", "tf32")}
    assert products() == before


def test_a_plateau_needs_patience() -> None:
    def series(*coverage: float) -> list[tuple[int, dict[str, float]]]:
        return [(100 * i, {"coverage": c}) for i, c in enumerate(coverage, 1)]

    plateau = Plateau(patience=2, min_delta=0.01, min_images=300)
    assert not on_plateau(series(0.5, 0.5), plateau)
    assert on_plateau(series(0.5, 0.505, 0.4), plateau)
    assert not on_plateau(series(0.5, 0.4, 0.52), plateau)
    assert not on_plateau(series(0.5, 0.5, 0.5), plateau.model_copy(update={"min_images": 301}))
    assert not on_plateau([(900, {})], plateau)


STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.step": torch.tensor(3.0)}
BELONGS: dict[str, Any] = {"config": {"lr": 0.1}, "workers": 1}


@pytest.mark.parametrize("store", [MemoryStore(), None], ids=["memory", "local"])
def test_the_newest_snapshots_are_kept(store: MemoryStore | None, tmp_path: Path) -> None:
    snapshots = Snapshots(store or LocalStore(tmp_path), keep=2)
    for clock in (10, 20, 30):
        snapshots.save(clock, STATE, BELONGS, {"series": [[clock, {}]]})
    assert snapshots.clocks() == [20, 30]
    assert len(snapshots.store.list()) == 4
    latest = snapshots.latest(BELONGS)
    assert latest is not None
    assert (latest.clock, latest.notes) == (30, {"series": [[30, {}]]})
    assert all(torch.equal(latest.state[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("name", ["state.safetensors", "meta.json"])
@pytest.mark.parametrize("harm", [b"", b"{}", None])
def test_damage_is_named_and_passed_over(name: str, harm: bytes | None) -> None:
    store = MemoryStore()
    snapshots = Snapshots(store)
    snapshots.save(10, STATE, BELONGS, {})
    snapshots.save(20, STATE, BELONGS, {})
    key = f"000000000020/{name}"
    if harm is None:
        store.delete(key)
    else:
        store.write(key, harm)
    notes = list[str]()
    latest = snapshots.latest(BELONGS, notes.append)
    assert latest is not None
    assert latest.clock == 10
    if not (name == "meta.json" and harm is None):  # without its meta it was never published
        assert "000000000020" in notes[0]
        with pytest.raises(Damaged, match="000000000020"):
            snapshots.read(20)


def test_a_snapshot_of_another_configuration_is_refused() -> None:
    snapshots = Snapshots(MemoryStore())
    snapshots.save(10, STATE, BELONGS, {})
    with pytest.raises(ConfigError, match=r"config.lr \(0.1, now 0.2\)"):
        snapshots.latest({"config": {"lr": 0.2}, "workers": 1})
    notes = list[str]()
    assert snapshots.latest({**BELONGS, "workers": 4}, notes.append) is not None
    assert "4 workers" in notes[0]


class Counting:
    """A task that counts its images, and says NaN from a chosen clock on."""

    def __init__(self, bad: int = 10**9) -> None:
        self.seen, self.bad = list[int](), bad

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> dict[str, Tensor]:
        self.seen += batch.label_N.tolist()
        value = float("nan") if clock >= self.bad else float(clock)
        return {"fine": torch.tensor(1.0), "clock": torch.tensor(value)}

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...

    def export(self, folder: Path, meta: dict[str, Any]) -> None: ...


def moments(plan: Plan, task: Counting, start: int = 0) -> list[Any]:
    images = Images(torch.zeros(10, 1, 1, 1, dtype=torch.uint8), torch.arange(10))
    return list(run(task, images, plan, Replicas(), start))


PLAN = Plan(30, 4, Cadence(report=5, evaluate=9, sample=16, snapshot=24), seed=0)


def test_moments_are_a_function_of_the_clock() -> None:
    found = moments(PLAN, Counting())
    assert [(type(m), m.clock) for m in found] == [
        (Sample, 0),
        (Report, 8),
        (Report, 12),
        (Evaluate, 12),
        (Report, 16),
        (Sample, 16),
        (Report, 24),
        (Evaluate, 24),
        (Snapshot, 24),
        (Report, 32),
        (Evaluate, 32),
        (Sample, 32),
        (Snapshot, 32),
        (Done, 32),
    ]
    assert found[1].values == {"fine": 1.0, "clock": 2.0}
    assert found[2].values["clock"] == 8.0


def test_a_continued_loop_sees_the_same_images_and_moments() -> None:
    whole, rest = Counting(), Counting()
    expected = [m for m in moments(PLAN, whole) if m.clock > 16]
    assert moments(PLAN, rest, start=16) == expected
    assert rest.seen == whole.seen[16:]
    assert sorted(whole.seen[:10]) == list(range(10))
    assert [type(m) for m in moments(PLAN, Counting(), start=32)] == [Done]


def test_several_batches_make_one_step() -> None:
    task = Counting()
    plan = Plan(30, 4, Cadence(), seed=0, draws=3)
    assert [m.clock for m in moments(plan, task)][-1] == 36
    assert len(task.seen) == 36


def test_the_first_bad_clock_is_kept_until_the_next_moment() -> None:
    task = Counting(bad=17)
    with pytest.raises(Diverged) as caught:
        moments(PLAN, task)
    assert (caught.value.clock, caught.value.name) == (20, "clock")
    assert len(task.seen) == 24


def play_of(rates: list[float], slopes: list[float] | None = None) -> list[Reading]:
    return [
        (100 * n, {"win_rate": rate, "slope_generator": slope})
        for n, (rate, slope) in enumerate(zip(rates, slopes or [1.0] * len(rates), strict=True))
    ]


def covered(values: list[float]) -> list[Reading]:
    return [(100 * n, {"coverage": value}) for n, value in enumerate(values)]


WINS, EVEN, FLAT = [0.9, 0.9, 0.9, 1, 1, 1], [0.9, 0.9, 0.9, 0.5, 0.5, 0.5], [0.1] * 6


@pytest.mark.parametrize(
    ("rates", "coverage", "slopes", "told"),
    [
        (WINS, FLAT, None, "stalled (discriminator won)"),
        (EVEN, FLAT, None, "stalled (discriminator blind)"),
        (WINS, [0.10, 0.12, 0.11, 0.11, 0.12, 0.10], None, "stalled (discriminator won)"),  # noise
        (WINS, [0.1, 0.2, 0.3, 0.4, 0.4, 0.4], None, ""),  # wins every pair and still teaches
        (WINS, [0.1, 0.103, 0.106, 0.109, 0.112, 0.115], None, ""),  # slowly, but it does
        (EVEN, [0.8] * 6, None, ""),  # even because it is good
        ([0.7] * 6, FLAT, None, ""),  # collapsed, perhaps, but playing
        (WINS[1:], FLAT[1:], None, ""),  # too early to say
        (WINS, [], [1, 1, 1, 1e-4, 1e-4, 1e-4], "stalled (discriminator won)"),
        (WINS, [], [1, 1, 1, 0.5, 0.5, 0.5], ""),
        ([0.5] * 6, [], None, "stalled (discriminator blind)"),
        (EVEN, [], None, ""),  # even after a game: without readings nobody knows
    ],
)
def test_a_stall_is_told_from_healthy_play(
    rates: list[float], coverage: list[float], slopes: list[float] | None, told: str
) -> None:
    assert stalled(play_of(rates, slopes), covered(coverage)) == told
