"""The two training loops that `ganlib bench train` compares, each in a process of its own.

N images, H W pixels, C channels
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ganlib.config import Cadence, GanConfig, load_recipe, overlay
from ganlib.data import Images
from ganlib.determinism import Replicas
from ganlib.losses import adversarial
from ganlib.models import build_discriminator, build_generator
from ganlib.training import precision
from ganlib.training.gan_task import GanTask
from ganlib.training.loop import Batch, Plan, Report, run
from ganlib.training.memory import keep_freed

WARM_UP_S = 1.0
CPU = torch.device("cpu")


def random_images(config: Any, count: int = 4096) -> tuple[Tensor, Tensor]:
    """image_NHWC uint8 and label_N in the recipe's shape: speed does not depend on content."""
    draws = torch.Generator().manual_seed(0)
    shape = (count, config.data.size, config.data.size, config.data.channels)
    image_NHWC = torch.randint(0, 256, shape, dtype=torch.uint8, generator=draws)
    return image_NHWC, torch.randint(0, 10, (count,), generator=draws)


def ours(config: Any, image_NHWC: Tensor, label_N: Tensor) -> Iterator[int]:
    """Images shown so far, at each report; the whole loop as `ganlib train` runs it."""
    keep_freed()
    gan: GanConfig = config.gan
    every = 10 * gan.batch_size
    far = 2**40
    cadence = Cadence(report=every, evaluate=far, sample=far, snapshot=far)
    plan = Plan(far, gan.batch_size, cadence, gan.seed, gan.discriminator.steps)
    for moment in run(task(config), Images(image_NHWC, label_N), plan, Replicas()):
        if isinstance(moment, Report):
            yield moment.clock


def bare(config: Any, image_NHWC: Tensor, label_N: Tensor) -> Iterator[int]:
    """The step alone, on one batch again and again: what the loop adds is the difference."""
    keep_freed()
    built, shown = task(config), config.gan.batch_size * config.gan.discriminator.steps
    batch = Batch(image_NHWC[:shown].clone(), label_N[:shown].clone())
    clock = 0
    while True:
        for _ in range(10):
            built.step(batch, clock, Replicas())
            clock += shown
        yield clock


def plain(config: Any, image_NHWC: Tensor, label_N: Tensor) -> Iterator[int]:
    """As tutorials write it: DataLoader, float32, two Adams, `.item()` of each loss every step."""
    generator, discriminator = plain_players(config)
    image_NCHW = image_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
    loader = DataLoader(
        TensorDataset(image_NCHW.contiguous(), label_N),
        batch_size=config.gan.batch_size,
        shuffle=True,
        drop_last=True,
    )
    steps = plain_steps(config, generator, discriminator, loader)
    for number, shown in enumerate(steps, 1):
        if number % 10 == 0:
            yield shown


def plain_players(config: Any) -> tuple[nn.Module, nn.Module]:
    """The recipe's own networks, so that only the loop differs."""
    data = {"size": config.data.size, "channels": config.data.channels, "classes": 10}
    torch.manual_seed(config.gan.seed)
    return (
        build_generator(config.gan.generator.network, **data),
        build_discriminator(config.gan.discriminator.network, **data),
    )


def plain_steps(
    config: Any, generator: nn.Module, discriminator: nn.Module, loader: Any
) -> Iterator[int]:
    loss = adversarial.build(config.gan.loss)
    adams = [
        torch.optim.Adam(player.parameters(), lr=at.learning_rate, betas=(at.beta1, at.beta2))
        for player, at in (
            (generator, config.gan.generator.optimiser),
            (discriminator, config.gan.discriminator.optimiser),
        )
    ]
    shown = 0
    while True:
        for real, label in loader:
            z = torch.randn(len(real), generator.latent_size)  # type: ignore[call-overload]
            fake = generator(z, label)
            adams[1].zero_grad()
            loss_d = loss.discriminator(
                discriminator(real, label), discriminator(fake.detach(), label)
            ).mean()
            torch.autograd.backward(loss_d)
            adams[1].step()
            adams[0].zero_grad()
            loss_g = loss.generator(discriminator(fake, label), None).mean()
            torch.autograd.backward(loss_g)
            adams[0].step()
            loss_d.item(), loss_g.item()
            shown += len(real)
            yield shown


def task(config: Any) -> GanTask:
    return GanTask(
        config.gan,
        size=config.data.size,
        channels=config.data.channels,
        classes=tuple(str(k) for k in range(10)),
        arithmetic=precision.resolve(config.gan.precision, CPU, config.data.size),
        replicas=Replicas(),
        device=CPU,
    )


def flop_per_image(config: Any) -> float:
    """Of one turn of both players, as torch counts its convolutions and products."""
    from torch.utils.flop_counter import FlopCounterMode

    image_NHWC, label_N = random_images(config, config.gan.batch_size)
    built = task(overlay(config, {"gan.precision": "float32"}))
    batch = Batch(image_NHWC, label_N)
    built.step(batch, 0, Replicas())
    with FlopCounterMode(display=False) as counter:
        built.step(batch, 0, Replicas())
    return float(counter.get_total_flops()) / len(label_N)


def peak_gflops(config: Any, bfloat16: bool, seconds: float = 1.0) -> float:
    """The best this machine does with a convolution of the recipe's middle size, forward alone."""
    side, width = max(config.data.size // 2, 4), 64
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    layout = torch.channels_last
    image = torch.randn(128, width, side, side).to(dtype).to(memory_format=layout)
    weight = torch.randn(2 * width, width, 3, 3).to(dtype).to(memory_format=layout)
    flop = 2.0 * 128 * side * side * 9 * width * 2 * width
    best, begun = 0.0, time.perf_counter()
    with torch.no_grad():
        while time.perf_counter() - begun < seconds:
            before = time.perf_counter()
            torch.nn.functional.conv2d(image, weight, padding=1)
            best = max(best, flop / (time.perf_counter() - before) / 1e9)
    return best


SIDES = {"ours": ours, "bare": bare, "plain": plain}


def main() -> None:
    """`side`, `recipe`, `settings`, `threads`, `seconds` as JSON; prints what was measured."""
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    config = overlay(load_recipe(asked["recipe"]), asked["settings"])
    told: dict[str, Any] = {}
    if asked["side"] == "machine":
        told["flop_per_image"] = flop_per_image(config)
        told["peak_gflops"] = {
            "float32": peak_gflops(config, bfloat16=False),
            "bfloat16": peak_gflops(config, bfloat16=True),
        }
    else:
        counts = SIDES[asked["side"]](config, *random_images(config))
        begun = time.perf_counter()
        first = next(counts)
        while time.perf_counter() - begun < WARM_UP_S:
            first = next(counts)
        begun, spent = time.perf_counter(), time.process_time()
        shown = first
        while time.perf_counter() - begun < asked["seconds"]:
            shown = next(counts)
        wall = time.perf_counter() - begun
        told["images_per_s"] = (shown - first) / wall
        told["cpu_s_per_1000"] = 1000 * (time.process_time() - spent) / (shown - first)
        told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))
