"""The two training loops that `ganlib bench train` compares, each in a process of its own.

N images, H W pixels, C channels
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.utils.data import DataLoader, TensorDataset

from ganlib.config import Cadence, GanConfig, load_recipe, overlay
from ganlib.data import Images
from ganlib.determinism import Replicas
from ganlib.losses import adversarial
from ganlib.models import build_discriminator, build_generator
from ganlib.training import precision
from ganlib.training.gan_task import GanTask
from ganlib.training.loop import Batch, Plan, Report, Task, run
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
    return _shown(task(config, label_N.device), config, image_NHWC, label_N)


def _shown(built: Task, config: Any, image_NHWC: Tensor, label_N: Tensor) -> Iterator[int]:
    gan: GanConfig = config.gan
    every = 10 * gan.batch_size
    far = 2**40
    cadence = Cadence(report=every, evaluate=far, sample=far, snapshot=far)
    plan = Plan(far, gan.batch_size, cadence, gan.seed, gan.discriminator.steps)
    for moment in run(built, Images(image_NHWC, label_N), plan, Replicas.current()):
        if isinstance(moment, Report):
            yield moment.clock


def bare(config: Any, image_NHWC: Tensor, label_N: Tensor) -> Iterator[int]:
    """The step alone, on one batch again and again: what the loop adds is the difference."""
    keep_freed()
    built = task(config, label_N.device)
    shown = config.gan.batch_size * config.gan.discriminator.steps
    batch = Batch(image_NHWC[:shown].clone(), label_N[:shown].clone())
    clock = 0
    while True:
        for _ in range(10):
            built.step(batch, clock, Replicas())
            clock += shown
        yield clock


def plain(config: Any, image_NHWC: Tensor, label_N: Tensor) -> Iterator[int]:
    """As tutorials write it: DataLoader, float32, two Adams, `.item()` of each loss every step."""
    players = plain_players(config)
    adams = plain_adams(config, *players)
    loader = plain_loader(config, image_NHWC, label_N)
    for number, shown in enumerate(plain_steps(config, players, adams, loader), 1):
        if number % 10 == 0:
            yield shown


def plain_loader(
    config: Any, image_NHWC: Tensor, label_N: Tensor
) -> DataLoader[tuple[Tensor, ...]]:
    image_NCHW = image_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
    return DataLoader(
        TensorDataset(image_NCHW.contiguous(), label_N),
        batch_size=config.gan.batch_size,
        shuffle=True,
        drop_last=True,
    )


def plain_players(config: Any) -> tuple[nn.Module, nn.Module]:
    """The recipe's own networks, so that only the loop differs."""
    data = {"size": config.data.size, "channels": config.data.channels, "classes": 10}
    torch.manual_seed(config.gan.seed)
    return (
        build_generator(config.gan.generator.network, **data),
        build_discriminator(
            config.gan.discriminator.network,
            **data,
            bias=not adversarial.build(config.gan.loss).differences,
        ),
    )


def expressible(config: Any) -> str:
    """Why the plain loop cannot do the same work; empty where it can."""
    gan: GanConfig = config.gan
    told = {
        "penalties": gan.penalties.names(),
        "augmentation": gan.augmentation,
        "discriminator.packing": gan.discriminator.packing > 1,
        "discriminator.unrolled": gan.discriminator.unrolled,
        "accumulate": gan.accumulate > 1,
    }
    names = [f"gan.{name}" for name, wanted in told.items() if wanted]
    return ", ".join(names)


def plain_adams(
    config: Any, generator: nn.Module, discriminator: nn.Module
) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    gan: GanConfig = config.gan
    adam_g, adam_d = (
        torch.optim.Adam(player.parameters(), lr=at.learning_rate, betas=(at.beta1, at.beta2))
        for player, at in (
            (generator, gan.generator.optimiser),
            (discriminator, gan.discriminator.optimiser),
        )
    )
    return adam_g, adam_d


def plain_steps(
    config: Any,
    players: tuple[nn.Module, nn.Module],
    adams: tuple[torch.optim.Adam, torch.optim.Adam],
    loader: Any,
    shown: int = 0,
) -> Iterator[int]:
    """Images shown after each turn: the recipe's steps of both players, one after the other.

    `shown` is where it goes on, a whole number of turns.

    As tutorials do, the generator's first step is on the fakes the discriminator has just seen.
    """
    gan: GanConfig = config.gan
    loss = adversarial.build(gan.loss)
    (generator, discriminator), (adam_g, adam_d) = players, adams

    def fake_of(label: Tensor) -> Tensor:
        z = torch.randn(len(label), generator.latent_size)  # type: ignore[call-overload]
        made: Tensor = generator(z, label)
        return made

    turn = shown // gan.batch_size
    while True:
        for real, label in loader:
            fake = fake_of(label)
            adam_d.zero_grad()
            loss_d = loss.discriminator(
                discriminator(real, label), discriminator(fake.detach(), label)
            ).mean()
            torch.autograd.backward(loss_d)
            adam_d.step()
            loss_d.item()
            shown, turn = shown + len(real), turn + 1
            if turn % gan.discriminator.steps == 0:
                for step in range(gan.generator.steps):
                    fake = fake if step == 0 else fake_of(label)
                    adam_g.zero_grad()
                    seen = discriminator(real, label) if loss.relativistic else None
                    loss_g = loss.generator(discriminator(fake, label), seen).mean()
                    torch.autograd.backward(loss_g)
                    adam_g.step()
                    loss_g.item()
            yield shown


def task(config: Any, device: torch.device = CPU) -> GanTask:
    return GanTask(
        config.gan,
        size=config.data.size,
        channels=config.data.channels,
        classes=tuple(str(k) for k in range(10)),
        arithmetic=precision.of(config.gan, device, config.data.size),
        replicas=Replicas.current(),
        device=device,
    )


SIDES = {"ours": ours, "plain": plain}


def timed(asked: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Images/s of one side over `seconds`, of all its ranks, after a warm-up."""
    torch.set_num_threads(asked["threads"])
    config = overlay(load_recipe(asked["recipe"]), asked["settings"])
    image_NHWC, label_N = random_images(config)
    counts = SIDES[asked["side"]](config, image_NHWC.to(device), label_N.to(device))
    replicas = Replicas.current()

    def until(seconds: float) -> int:
        """All ranks stop at the same report, for the loop waits for all of them."""
        begun, shown = time.perf_counter(), next(counts)
        while not replicas.agree(int(time.perf_counter() - begun >= seconds)):
            shown = next(counts)
        return shown

    first = until(WARM_UP_S)
    begun, spent = time.perf_counter(), time.process_time()
    shown = until(asked["seconds"]) - first
    wall = time.perf_counter() - begun
    return {
        "images_per_s": shown / wall,
        "cpu_s_per_1000": 1000 * (time.process_time() - spent) * replicas.world / shown,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


class _Watched:
    """A task, and the seconds that its steps have taken."""

    def __init__(self, built: GanTask) -> None:
        self.built, self.inside = built, 0.0

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> dict[str, Tensor]:
        before = time.perf_counter()
        scalars = self.built.step(batch, clock, replicas)
        self.inside += time.perf_counter() - before
        return scalars

    def __getattr__(self, name: str) -> Any:
        return getattr(self.built, name)


def overhead(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the loop adds to its step, as shares of the step's time, report by report.

    All time outside the step: the batch, the scalars and their report; and all CPU time of other
    threads of Python, which prepare batches meanwhile, as though none of it were hidden. Of the
    very same steps, since two runs of one step differ by more than is looked for. What the loop
    does to the step itself, by the caches it sweeps, is not in it.
    """
    torch.set_num_threads(asked["threads"])
    config = overlay(load_recipe(asked["recipe"]), asked["settings"])
    watched = _Watched(task(config))
    counts = _shown(watched, config, *random_images(config))
    next(counts)
    shares: list[float] = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < asked["seconds"] or not shares:
        watched.inside, beside, before = 0.0, _others(), time.perf_counter()
        next(counts)
        outside = time.perf_counter() - before - watched.inside
        shares.append((outside + _others() - beside) / watched.inside)
    return {"overhead": shares}


def _others() -> float:
    """CPU-seconds of all threads of Python but this one."""
    this = threading.get_ident()
    running = [thread.ident for thread in threading.enumerate() if thread.ident is not None]
    clocks = [time.pthread_getcpuclockid(ident) for ident in running if ident != this]
    return sum(time.clock_gettime(clock) for clock in clocks)


def turns(asked: Mapping[str, Any]) -> dict[str, Any]:
    """After a warm-up, as many seconds of training as each line of stdin says; then the memory.

    Images/s of each turn are answered on stdout, so that two sides can take turns of under a
    second, each in a process of its own: a machine that others use favours neither.
    """
    torch.set_num_threads(asked["threads"])
    config = overlay(load_recipe(asked["recipe"]), asked["settings"])
    counts = SIDES[asked["side"]](config, *random_images(config))
    begun = time.perf_counter()
    while time.perf_counter() - begun < WARM_UP_S:
        shown = next(counts)
    for line in sys.stdin:
        before, begun, wall = shown, time.perf_counter(), 0.0
        while wall < float(line):
            shown = next(counts)
            wall = time.perf_counter() - begun
        print(json.dumps({"images_per_s": (shown - before) / wall}), flush=True)
    return {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _rank(rank: int, asked: dict[str, Any], folder: str) -> None:
    gpu = asked["device"] == "cuda"
    backend, device = ("nccl", torch.device("cuda", rank)) if gpu else ("gloo", CPU)
    if gpu:
        torch.cuda.set_device(device)  # where the collectives of objects put them
    dist.init_process_group(backend, f"file://{folder}/meet", rank=rank, world_size=asked["world"])
    told = timed(asked, device)
    if not rank:
        (Path(folder) / "told.json").write_text(json.dumps(told))
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    """`side`, `recipe`, `settings`, `threads`, `seconds` as JSON; prints what was measured.

    With `turns`, the seconds come by stdin; with `world` and `device`, that many ranks share the
    batch, each with `threads`.
    """
    asked = json.loads(sys.argv[1])
    if asked["side"] == "overhead":
        told = overhead(asked)
    elif asked.get("turns"):
        told = turns(asked)
    elif asked.get("world", 1) == 1:
        told = timed(asked, torch.device(asked.get("device", "cpu")))
    else:
        with tempfile.TemporaryDirectory() as folder:
            spawn(_rank, (asked, folder), nprocs=asked["world"])  # type: ignore[no-untyped-call]
            told = json.loads((Path(folder) / "told.json").read_text())
    print(json.dumps(told))
