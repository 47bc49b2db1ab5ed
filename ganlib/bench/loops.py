"""The two training loops on real images, which can be stopped and continued: for quality's sake.

N images
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from ganlib.bench.sides import (
    CPU,
    plain_adams,
    plain_loader,
    plain_players,
    plain_steps,
    task,
)
from ganlib.config import Cadence
from ganlib.data import Images
from ganlib.determinism import Replicas
from ganlib.training.loop import Plan, Report, run
from ganlib.training.state import join, part


class Loop(Protocol):
    """What is trained, where it stands, and the generator that people would use."""

    @property
    def generator(self) -> nn.Module: ...

    def shown(self, start: int, every: int) -> Iterator[int]:
        """Images shown so far, about every so many, from where it was stopped."""

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class Ours:
    """ganlib's loop; the average of the generator's weights is what it makes."""

    def __init__(self, config: Any, train: Images) -> None:
        self.config, self.train = config, train
        self.task = task(config, CPU)

    @property
    def generator(self) -> nn.Module:
        return self.task.average

    def shown(self, start: int, every: int) -> Iterator[int]:
        gan, far = self.config.gan, 2**40
        cadence = Cadence(report=every, evaluate=far, sample=far, snapshot=far)
        plan = Plan(far, gan.batch_size, cadence, gan.seed, gan.discriminator.steps)
        for moment in run(self.task, self.train, plan, Replicas(), start):
            if isinstance(moment, Report):
                yield moment.clock

    def state_dict(self) -> dict[str, Tensor]:
        return self.task.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.task.load_state_dict(state)


class Plain:
    """The loop of tutorials. Continued, it shuffles anew: it keeps no place in its data."""

    def __init__(self, config: Any, train: Images) -> None:
        self.config = config
        self.players = plain_players(config)
        self.adams = plain_adams(config, *self.players)
        self.loader = plain_loader(config, train.image_NHWC, train.label_N)

    @property
    def generator(self) -> nn.Module:
        return self.players[0]

    def shown(self, start: int, every: int) -> Iterator[int]:
        before = start
        for images in plain_steps(self.config, self.players, self.adams, self.loader, start):
            if images // every > before // every:
                yield images
            before = images

    def state_dict(self) -> dict[str, Tensor]:
        players = {f"player{n}": player.state_dict() for n, player in enumerate(self.players)}
        moments = {
            f"adam{n}": {
                f"{place}.{name}": tensor
                for place, kept in adam.state_dict()["state"].items()
                for name, tensor in kept.items()
            }
            for n, adam in enumerate(self.adams)
        }
        return join(players | moments)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for n, (player, adam) in enumerate(zip(self.players, self.adams, strict=True)):
            player.load_state_dict(part(state, f"player{n}"))
            kept: dict[int, dict[str, Tensor]] = {}
            for key, tensor in part(state, f"adam{n}").items():
                place, name = key.split(".")
                kept.setdefault(int(place), {})[name] = tensor.clone()
            adam.load_state_dict(adam.state_dict() | {"state": kept})


LOOPS: dict[str, Callable[[Any, Images], Loop]] = {"ours": Ours, "plain": Plain}
