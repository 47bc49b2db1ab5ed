"""What the discriminator sees of the images it is given.

N images of this rank, C channels, H W pixels
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganlib import augmentation
from ganlib.augmentation import Draws
from ganlib.config import Ada, DiscriminatorAugmentation
from ganlib.data.images import sent
from ganlib.determinism import Replicas, stream


class Sight:
    """The augmentation and, where it adapts, the state it follows."""

    def __init__(
        self, config: DiscriminatorAugmentation | None, seed: int, device: torch.device
    ) -> None:
        self.config, self.seed, self.device = config, seed, device
        self.augmentation = None if config is None else augmentation.build(config)
        self.fixed = (
            None if config is None else augmentation.start(config).to(device, torch.float64)
        )
        self.state: dict[str, Tensor] = {}
        if self.fixed is not None and isinstance(config, Ada) and config.fixed is None:
            zero = torch.zeros_like(self.fixed)
            self.state = {"strength": self.fixed, "sign_sum": zero, "count": zero.clone()}

    @property
    def strength(self) -> Tensor | None:
        """The probability of each change, on the device; none without an augmentation."""
        return self.state.get("strength", self.fixed)

    def draws(self, purpose: str, clock: int, count: int, replicas: Replicas) -> Draws | None:
        """For `count` images of this rank: drawn for all ranks, sliced, and sent to the device."""
        if self.augmentation is None:
            return None
        generator = stream(self.seed, f"augmentation/{purpose}", clock)
        drawn = self.augmentation.draw(count * replicas.world, generator)
        return drawn.slice(lambda tensor: sent(replicas.slice(tensor), self.device))

    def see(self, image_NCHW: Tensor, draws: Draws | None) -> Tensor:
        if self.augmentation is None or draws is None or self.strength is None:
            return image_NCHW
        return self.augmentation.apply(image_NCHW, draws, self.strength)

    def learn(self, signs: Tensor, images: int, number: int, replicas: Replicas) -> None:
        """Remember the sum of sign D(real) over `images` of discriminator step `number`, float64.

        Each `every` steps the strength moves by them. The sums are those of all ranks at every
        step, since any step may be a snapshot's, and whole numbers on any number of ranks.
        """
        if not isinstance(self.config, Ada) or not self.state:
            return
        self.state["sign_sum"] += replicas.sum(signs)
        self.state["count"] += images * replicas.world
        if (number + 1) % self.config.every:
            return
        moved = augmentation.adapt(
            self.state["strength"], self.state["sign_sum"], self.state["count"], self.config
        )
        self.state["strength"].copy_(moved)
        self.state["sign_sum"].zero_()
        self.state["count"].zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """Empty where nothing adapts."""
        return dict(self.state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
