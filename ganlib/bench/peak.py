"""What a recipe's networks ask of the machine, and the best it does with just that.

N images, H W pixels, C channels
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ganlib.bench.sides import CPU, bare, plain, plain_players, random_images
from ganlib.config import GanConfig, load_recipe, overlay
from ganlib.training import precision

PASSES = {
    "forward": (False, False),
    "slopes of the input": (True, False),
    "slopes of the weight": (False, True),
}
"""And whether slopes are asked of the input and of the weight."""


def flop_per_image(config: Any) -> dict[str, float]:
    """Of one turn of both players in each loop, as torch counts convolutions and products."""
    gan: GanConfig = config.gan
    turn = gan.batch_size * gan.discriminator.steps
    image_NHWC, label_N = random_images(config, max(turn, 64))
    narrow = overlay(config, {"gan.precision": "float32"})
    found = {}
    for side, step in (("ours", bare), ("plain", plain)):
        counts = step(narrow, image_NHWC, label_N)
        before = next(counts)
        with FlopCounterMode(display=False) as counter:
            after = next(counts)
        found[side] = float(counter.get_total_flops()) / (after - before)
    return found


class _Convolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The arguments of each convolution met, tensors by their shape, and how often each was."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.met: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.convolution.default:
            image, weight, _bias, *how = args
            self.met[(tuple(image.shape), tuple(weight.shape), *map(_frozen, how))] += 1
        return func(*args, **(kwargs or {}))


def _frozen(argument: Any) -> Any:
    return tuple(argument) if isinstance(argument, list | tuple) else argument


def convolutions(config: Any) -> Counter[tuple[Any, ...]]:
    """Of one batch through both players: shapes of input and weight, stride, padding and the rest.

    As `aten.convolution` takes them, without the bias.
    """
    players: tuple[nn.Module, nn.Module] = plain_players(config)
    generator, discriminator = players
    count = config.gan.batch_size
    label = torch.zeros(count, dtype=torch.long)
    with _Convolutions() as seen, torch.no_grad():
        z = torch.randn(count, generator.latent_size)  # type: ignore[call-overload]
        discriminator(generator(z, label), label)
    met: Counter[tuple[Any, ...]] = seen.met
    return met


def peaks(config: Any, bfloat16: bool, seconds: float = 0.1) -> dict[str, float]:
    """GFLOP/s of the recipe's own convolutions, each alone at its best, pass by pass and together.

    `seconds` of trying for each convolution and pass; together is all work over the sum of the
    best times. Empty for networks that convolve nothing.
    """
    work: Counter[str] = Counter()
    spent = dict.fromkeys(PASSES, 0.0)
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    for (image_shape, weight_shape, *how), count in convolutions(config).items():
        for name, (of_image, of_weight) in PASSES.items():
            image, weight = (
                torch.randn(shape).to(dtype).to(memory_format=torch.channels_last)
                for shape in (image_shape, weight_shape)
            )
            once = _pass(image, weight, how, of_image, of_weight)
            with FlopCounterMode(display=False) as counter:
                once()
            work[name] += count * counter.get_total_flops()
            spent[name] += count * _best(once, seconds)
    if not work:
        return {}
    alone = {name: work[name] / spent[name] / 1e9 for name in work}
    return {**alone, "together": sum(work.values()) / sum(spent.values()) / 1e9}


def _pass(
    image: Tensor, weight: Tensor, how: list[Any], of_image: bool, of_weight: bool
) -> Callable[[], object]:
    forward = torch.ops.aten.convolution.default
    if not (of_image or of_weight):
        return lambda: forward(image, weight, None, *how)
    slope = torch.ones_like(forward(image, weight, None, *how))
    wanted = [of_image, of_weight, False]
    backward = torch.ops.aten.convolution_backward.default
    return lambda: backward(slope, image, weight, None, *how, wanted)


def _best(once: Callable[[], object], seconds: float) -> float:
    best, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < seconds:
        before = time.perf_counter()
        once()
        best = min(best, time.perf_counter() - before)
    return best


def main() -> None:
    """`recipe`, `settings`, `threads` as JSON; prints the work and the peaks."""
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    config = overlay(load_recipe(asked["recipe"]), asked["settings"])
    told = {
        "flop_per_image": flop_per_image(config),
        "bfloat16": precision.resolve("auto", CPU, config.data.size).bfloat16,
        "peak_gflops": {
            "float32": peaks(config, bfloat16=False),
            "bfloat16": peaks(config, bfloat16=True),
        },
    }
    print(json.dumps(told))
