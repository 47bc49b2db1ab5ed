"""One turn of one player: where it stands, and what it works on.

N samples of this rank, C channels, H W pixels, Z latent
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ganlib.augmentation import Draws
from ganlib.determinism import Replicas
from ganlib.training.parts import rows


@dataclass(frozen=True)
class At:
    """Where a turn stands: its clock, this rank, and what learning rates are multiplied by."""

    clock: int
    replicas: Replicas
    rate: float


@dataclass(frozen=True)
class Half:
    """Equally many real images and latents of this rank, and what is drawn for each of them."""

    real_NHWC: Tensor
    label_N: Tensor
    z_NZ: Tensor
    mix_N: Tensor | None
    real_draws: Draws | None
    fake_draws: Draws | None

    def split(self, parts: int) -> Iterator[Half]:
        """In equal parts, in order."""
        if parts == 1:
            yield self
            return
        for piece in rows(len(self.label_N), parts):
            yield self._piece(piece)

    def _piece(self, rows: slice) -> Half:
        def draws(drawn: Draws | None) -> Draws | None:
            return None if drawn is None else drawn.slice(lambda tensor: tensor[rows])

        return Half(
            self.real_NHWC[rows],
            self.label_N[rows],
            self.z_NZ[rows],
            None if self.mix_N is None else self.mix_N[rows],
            draws(self.real_draws),
            draws(self.fake_draws),
        )
