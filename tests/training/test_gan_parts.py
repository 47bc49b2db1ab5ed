"""Every part of a GAN's step: two ranks as one, continued as uninterrupted, in parts as whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganlib.augmentation import Augmentation
from ganlib.config import (
    Ada,
    AdversarialLoss,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    DiscriminatorNetwork,
    GanConfig,
    GeneratorConfig,
    GeneratorNetwork,
    overlay,
)
from ganlib.determinism import Replicas, stream
from ganlib.errors import ConfigError
from ganlib.models.layers import BatchNorm
from ganlib.training.gan_task import GanTask
from ganlib.training.loop import Batch
from ganlib.training.precision import resolve
from ganlib.training.sight import Sight
from tests.ranks import on_ranks
from tests.training.test_every_combination import SMALL, kinds

STEPS, SIZE, BATCH = 6, 8, 16
BASE = GanConfig(
    generator=GeneratorConfig(network=DcganGenerator(width=8, latent_size=8)),
    discriminator=DiscriminatorConfig(network=DcganDiscriminator(width=8)),
    batch_size=BATCH,
)
NO_SLOPE = {"penalties.wgan_gp.weight": 10}
NO_NORM = {"generator.network.norm": "instance", "discriminator.network.norm": "none"}
R3GAN = {
    "loss.kind": "relativistic_paired",
    "penalties.r1.gamma": 0.5,
    "penalties.r2.gamma": 0.5,
}


def networks(kind: str) -> dict[str, Any]:
    """With the loss that goes with them."""
    small = {"kind": kind, **SMALL[kind]}
    players = {f"{player}.network": small for player in ("generator", "discriminator")}
    return players | (R3GAN if kind == "r3gan" else {})


PARTS: dict[str, dict[str, Any]] = {
    **{f"loss {kind}": {"loss.kind": kind} for kind in kinds(AdversarialLoss)},
    "wgan-gp": {"loss.kind": "wasserstein", "penalties.wgan_gp.weight": 10} | NO_NORM,
    "lazy r1": {"penalties.r1.gamma": 1, "penalties.r1.every": 3, "discriminator.steps": 2},
    "r3gan's": R3GAN,
    "packs": {"discriminator.packing": 4, "penalties.r1.gamma": 1},
    "stddev": {"discriminator.network.minibatch_stddev": 4},
    "batch norm in both": {"discriminator.network.norm": "batch"},
    "unrolled": {"discriminator.unrolled": 2, "discriminator.network.norm": "none"},
    "unrolled, spectral, relativistic": {
        "discriminator.unrolled": 1,
        "loss.kind": "relativistic_paired",
    },
    "diffaugment": {"augmentation.kind": "diffaugment", "penalties.wgan_gp.weight": 1},
    "ada": {"augmentation": {"kind": "ada", "every": 3, "images_to_full": 100, "target": -0.9}},
    "own augmentation": {
        "augmentation": {"kind": "custom", "build": f"{__name__}:own_augmentation"},
        "penalties.r1.gamma": 1,
    },
    "uniform, concatenated": {
        "generator.network.latent": "uniform",
        "discriminator.network.conditioning": "concatenation",
    },
    **{f"network {kind}": networks(kind) for kind in kinds(GeneratorNetwork)},
    "unconditional": {
        "generator.network.conditioning": "none",
        "discriminator.network.conditioning": "none",
    },
}


def own_augmentation() -> Augmentation:
    return Augmentation(1, lambda x, draws, p: x * (1 - p * draws.uniform_NT2[:, :1, :1, None]))


def config_of(name: str) -> GanConfig:
    return overlay(BASE, PARTS[name])


def built(config: GanConfig, replicas: Replicas) -> GanTask:
    cpu = torch.device("cpu")
    return GanTask(
        config,
        size=SIZE,
        channels=1,
        classes=("a", "b", "c"),
        arithmetic=resolve("float64", cpu, SIZE),
        replicas=replicas,
        device=cpu,
    )


def step(task: GanTask, number: int, replicas: Replicas) -> dict[str, Tensor]:
    draws = task.config.discriminator.steps
    images = stream(number, "images")
    image_NHWC = torch.randint(0, 256, (draws * BATCH, SIZE, SIZE, 1), generator=images).byte()
    label_N = torch.randint(0, 3, (draws * BATCH,), generator=images)
    mine = [
        torch.cat([replicas.slice(part) for part in whole.split(BATCH)])
        for whole in (image_NHWC, label_N)
    ]
    return task.step(Batch(*mine), number * draws * BATCH, replicas)


def trained(config: GanConfig, replicas: Replicas, steps: int = STEPS) -> dict[str, Tensor]:
    """The state, and the last step's scalars as means over ranks beside it."""
    task = built(config, replicas)
    scalars: dict[str, Tensor] = {}
    for number in range(steps):
        scalars = step(task, number, replicas)
    told = {f"told.{name}": replicas.mean(value) for name, value in scalars.items()}
    return task.state_dict() | told


def all_trained(replicas: Replicas) -> dict[str, dict[str, Tensor]]:
    return {name: trained(config_of(name), replicas) for name in PARTS}


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, Tensor]]:
    # What is shared by a module is made before a test's own fixture says so, and with more threads
    # such small tensors wait for each other and add up in another order.
    torch.set_num_threads(1)
    return all_trained(Replicas())


@pytest.fixture(scope="module")
def two_ranks() -> list[dict[str, dict[str, Tensor]]]:
    return on_ranks(2, all_trained)


def worst(one: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[float, str]:
    """The largest distance of a tensor over its norm, and whose it is."""
    assert one.keys() == other.keys()
    apart = {
        name: float((tensor - other[name]).double().norm() / tensor.double().norm().clamp_min(1e-9))
        for name, tensor in one.items()
    }
    name = max(apart, key=lambda key: apart[key])
    return apart[name], name


@pytest.mark.parametrize("name", PARTS)
def test_it_moves_and_stays_finite(alone: dict[str, dict[str, Tensor]], name: str) -> None:
    start = built(config_of(name), Replicas()).state_dict()
    for key, tensor in alone[name].items():
        assert torch.isfinite(tensor).all(), key
    for player in ("generator", "discriminator"):
        weights = [k for k in start if k.startswith(f"{player}.") and "weight" in k]
        assert any(not torch.equal(start[key], alone[name][key]) for key in weights)


@pytest.mark.parametrize("name", PARTS)
def test_two_ranks_do_what_one_does(
    alone: dict[str, dict[str, Tensor]], two_ranks: list[dict[str, dict[str, Tensor]]], name: str
) -> None:
    for rank in two_ranks:
        apart, which = worst(alone[name], rank[name])
        assert apart <= 1e-9, which


@pytest.mark.parametrize("name", PARTS)
def test_continued_from_its_state_it_does_the_same(
    alone: dict[str, dict[str, Tensor]], name: str
) -> None:
    config = config_of(name)
    first, second = built(config, Replicas()), built(config, Replicas())
    for number in range(3):
        step(first, number, Replicas())
    second.load_state_dict({key: tensor.clone() for key, tensor in first.state_dict().items()})
    for number in range(3, STEPS):
        step(second, number, Replicas())
    for key, tensor in second.state_dict().items():
        assert torch.equal(tensor, alone[name][key]), key


@pytest.mark.parametrize("network", kinds(DiscriminatorNetwork))
@pytest.mark.parametrize("loss", kinds(AdversarialLoss))
def test_a_discriminator_has_a_last_bias_where_its_loss_teaches_one(
    loss: str, network: str
) -> None:
    changes = networks(network) | {"loss.kind": loss, "penalties": {"wgan_gp": {"weight": 10}}}
    task = built(overlay(BASE, changes), Replicas())
    untaught = loss in ("wasserstein", "relativistic_paired")
    assert ("discriminator.head.bias" in task.state_dict()) != untaught


IN_PARTS = {
    name
    for name, changes in PARTS.items()
    if "unrolled" not in name and name != "batch norm in both"
}


@pytest.mark.parametrize("name", sorted(IN_PARTS))
def test_four_parts_of_a_batch_are_the_whole(name: str) -> None:
    """The generator has no batch norm here: with it, accumulation is refused."""
    whole = config_of(name)
    if whole.generator.network.norm == "batch":
        whole = overlay(whole, {"generator.network.norm": "layer"})
    parts = overlay(whole, {"accumulate": 4})
    apart, which = worst(trained(whole, Replicas()), trained(parts, Replicas()))
    assert apart <= 1e-9, which


def test_accumulation_on_two_ranks_is_one_whole_batch() -> None:
    apart, which = worst(*_whole_and_in_parts())
    assert apart <= 1e-9, which


def _whole_and_in_parts() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    whole = overlay(config_of("lazy r1"), {"generator.network.norm": "layer"})
    parts = overlay(whole, {"accumulate": 2})
    return trained(whole, Replicas()), on_ranks(2, _trained, parts.model_dump())[0]


def _trained(replicas: Replicas, config: dict[str, Any]) -> dict[str, Tensor]:
    return trained(GanConfig.model_validate(config), replicas)


@pytest.mark.parametrize(
    ("changes", "where", "reason"),
    [
        *(
            (
                {"augmentation.kind": "ada", "loss.kind": kind} | NO_SLOPE,
                "augmentation",
                f"under the loss {kind}",
            )
            for kind in ("least_squares", "wasserstein", "relativistic_paired")
        ),
        (
            {"accumulate": 2},
            "accumulate",
            r"generator\.network normalises over the whole batch",
        ),
        (
            {"discriminator.network.norm": "batch", "penalties.r1.gamma": 1},
            "discriminator.network.norm",
            "batch norm",
        ),
        (
            {"loss.kind": "wasserstein", "discriminator.network.norm": "none"},
            "penalties",
            "wgan_gp",
        ),
        (
            {"discriminator.unrolled": 1, "penalties.r1.gamma": 1},
            "discriminator.unrolled",
            "third derivative",
        ),
        (
            {
                "discriminator.unrolled": 1,
                "accumulate": 2,
                "generator.network.norm": "layer",
            },
            "accumulate",
            "looks ahead on the whole batch",
        ),
        (
            {"generator.network.conditioning": "none"},
            "generator.network.conditioning",
            "nobody would teach the class",
        ),
        ({"discriminator.packing": 5}, "discriminator.packing", "packing"),
        ({"penalties.r1.gama": 1}, "penalties.r1.gama", "gama"),
        ({"batch_size": 200_000}, "budget.images", "one step takes 200000 images"),
        (
            {"batch_size": 64, "discriminator.steps": 16, "budget.images": 64},
            "budget.images",
            "one step takes 1024 images",
        ),
        (
            {
                "discriminator.network": {"kind": "mlp", "norm": "batch"},
                "discriminator.packing": 4,
                "batch_size": 4,
            },
            "batch_size",
            "one sample has no variance",
        ),
        ({"schedule.warmup_images": 100_000}, "schedule.warmup_images", "would end before"),
        (
            {
                "schedule": {"kind": "step", "milestones": [0.1, 0.5]},
                "schedule.warmup_images": 10_000,
            },
            "schedule.milestones",
            "at 10000 images, inside the 10000 of",
        ),
        ({"ema": {"half_life": 0, "ramp": 0.1}}, "ema.ramp", "half_life is 0, which switches"),
        (
            {
                "augmentation": {
                    "kind": "diffaugment",
                    "color": False,
                    "translation": False,
                    "cutout": False,
                }
            },
            "augmentation.color",
            "would change nothing",
        ),
        (
            {
                "generator.network": {
                    "kind": "mlp",
                    "conditioning": "none",
                    "embedding_size": 8,
                }
            },
            "generator.network.embedding_size",
            "no class's vector",
        ),
        (
            {"discriminator.packing": 3},
            "batch_size",
            "is 16, not a multiple of accumulate 1 times packing 3: set it to a multiple of 3",
        ),
        (
            {"discriminator.packing": 4, "discriminator.network.minibatch_stddev": 8},
            "batch_size",
            "packing 4 times the 8 samples of a group of minibatch_stddev: .* a multiple of 32",
        ),
        (
            {"accumulate": 5, "generator.network.norm": "layer"},
            "batch_size",
            "not a multiple of accumulate 5",
        ),
    ],
)
def test_what_does_not_combine_is_refused_by_the_setting_to_mend(
    changes: dict[str, Any], where: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        overlay(BASE, changes)
    assert caught.value.where == where
    assert where in str(caught.value)


def test_lazy_penalties_cost_on_average_what_they_cost_at_every_step() -> None:
    """At weights that stand still: the gradient of twelve steps adds up to the same."""
    rates = {
        f"{player}.optimiser.learning_rate": 1e-12 for player in ("generator", "discriminator")
    }
    still = overlay(BASE, rates | {"discriminator.network.norm": "none"})
    told = {}
    for every in (1, 3):
        config = overlay(still, {"penalties.r1": {"gamma": 2, "every": every}})
        task = built(config, Replicas())
        told[every] = [float(step(task, n, Replicas())["penalty_r1"]) for n in range(12)]
    assert [value > 0 for value in told[3]] == [True, False, False] * 4
    assert told[3][::3] == pytest.approx([3 * value for value in told[1][::3]])


@pytest.mark.parametrize(
    ("every", "due"), [(2, [True] * 6), (3, [True, True, False, True, True, False])]
)
def test_a_lazy_penalty_is_told_whichever_step_of_a_turn_it_falls_on(
    every: int, due: list[bool]
) -> None:
    lazy = {"penalties.r1": {"gamma": 2, "every": every}, "discriminator.network.norm": "none"}
    task = built(overlay(BASE, lazy | {"discriminator.steps": 2}), Replicas())
    told = [float(step(task, number, Replicas())["penalty_r1"]) for number in range(6)]
    assert [value > 0 for value in told] == due


def test_the_augmentation_follows_the_signs() -> None:
    """Up by its speed where every real image is seen through, and down again where none is."""
    config = Ada(every=2, images_to_full=1000, maximum=0.05)
    sight = Sight(config, 0, torch.device("cpu"))
    told = []
    for number, sign in enumerate([1.0] * 8 + [-1.0] * 8):
        sight.learn(torch.tensor(BATCH * sign), BATCH, number, Replicas())
        told.append(float(sight.state_dict()["strength"]))
    up = [0, 0.032, 0.032, 0.05, 0.05, 0.05, 0.05, 0.05]
    assert told == pytest.approx([*up, 0.05, 0.018, 0.018, 0, 0, 0, 0, 0])


def test_where_zero_divides_nothing_the_augmentation_may_be_fixed() -> None:
    fixed = {"augmentation": {"kind": "ada", "fixed": 0.3}, "loss.kind": "least_squares"}
    assert overlay(BASE, fixed).augmentation == Ada(fixed=0.3)


@pytest.mark.parametrize("changes", [{"accumulate": 3}, {"discriminator.packing": 2}])
def test_signs_add_up_to_whole_numbers(changes: dict[str, Any]) -> None:
    """Of twelve images, whose mean sign float32 cannot hold."""
    ada = {"augmentation": {"kind": "ada", "every": 64}, "batch_size": 12}
    config = overlay(BASE, ada | changes | {"generator.network.norm": "layer"})
    task = built(config, Replicas())
    sums = set()
    for number in range(12):
        images = stream(number, "images")
        image_NHWC = torch.randint(0, 256, (12, SIZE, SIZE, 1), generator=images).byte()
        label_N = torch.randint(0, 3, (12,), generator=images)
        task.step(Batch(image_NHWC, label_N), 12 * number, Replicas())
        state = task.sight.state_dict()
        assert int(state["count"]) == 12 * (number + 1)
        sums.add(float(state["sign_sum"]))
    assert any(value % 12 for value in sums)
    assert all(value == int(value) for value in sums)


def own_network(*, size: int, channels: int, classes: int, ours: bool) -> nn.Module:
    network = nn.Sequential(BatchNorm(channels) if ours else nn.BatchNorm2d(channels))
    network.latent_size = 8  # type: ignore[assignment]
    return network


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize(
    ("player", "changes", "reason"),
    [
        ("discriminator", {"penalties.r1.gamma": 1}, "r1 looks at the slope at each image alone"),
        ("discriminator", {"accumulate": 2}, "normalises over the whole batch"),
        ("generator", {"accumulate": 2}, "normalises over the whole batch"),
    ],
)
def test_batch_norms_of_own_networks_are_refused_too(
    player: str, changes: dict[str, Any], reason: str, ours: bool
) -> None:
    build = f"{__name__}:own_network"
    own = {f"{player}.network": {"kind": "custom", "build": build, "options": {"ours": ours}}}
    instance = {"generator.network.norm": "instance"} if player == "discriminator" else {}
    config = overlay(BASE, instance | own | changes)
    with pytest.raises(ConfigError, match=reason) as caught:
        built(config, Replicas())
    assert caught.value.where == f"{player}.network"
