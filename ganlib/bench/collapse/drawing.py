"""Everything random of a game, as a function of seed, purpose, iteration and turn.

S seeds, N samples of a step, K = N x packing points, Z latent, D = 2 dimensions. Draws are made for
some iterations at once, since opening a stream costs more than a step's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganlib.bench.collapse.gaussians import Mixture
from ganlib.bench.collapse.methods import Method
from ganlib.determinism import stream

BLOCK = 16

Draw = Callable[[int, torch.Generator], Tensor]
"""So many rows, from a generator."""


class Drawing:
    """What step `iteration` draws in its discriminator's turn `turn`."""

    def __init__(self, method: Method, mixture: Mixture, seeds: Sequence[int]) -> None:
        self.seeds, self.mixture = tuple(seeds), mixture
        self.samples, self.points = method.batch, method.batch * method.packing
        self.noise = _noise(method.latent, method.signs, method.spread)
        self.blocks: dict[str, tuple[int, Tensor]] = {}

    def real(self, iteration: int, turn: int) -> Tensor:
        """-> (S, K, D)"""
        return self._at("real", iteration, turn, self.points, self.mixture.draw)

    def latent(self, iteration: int, turn: int) -> Tensor:
        """-> (S, K, Z)"""
        return self._at("latent", iteration, turn, self.points, self.noise)

    def smoothing(self, purpose: str, iteration: int, turn: int) -> Tensor:
        """-> (S, K, D)"""
        return self._at(f"smoothing/{purpose}", iteration, turn, self.points, _normal(2))

    def mix(self, iteration: int, turn: int) -> Tensor:
        """-> (S, N) between 0 and 1."""
        return self._at(
            "mix", iteration, turn, self.samples, lambda n, draw: torch.rand(n, generator=draw)
        )

    def judged(self, count: int) -> Tensor:
        """-> (S, count, Z), the same at every call."""
        return torch.stack([self.noise(count, stream(s, "collapse/judged")) for s in self.seeds])

    def _at(self, purpose: str, iteration: int, turn: int, count: int, draw: Draw) -> Tensor:
        purpose = f"collapse/{purpose}/{turn}"
        number, place = divmod(iteration, BLOCK)
        if self.blocks.get(purpose, (-1,))[0] != number:
            drawn = [draw(BLOCK * count, stream(s, purpose, number)) for s in self.seeds]
            whole = torch.stack(drawn)
            rows = whole.view(len(drawn), BLOCK, count, *whole.shape[2:]).transpose(0, 1)
            self.blocks[purpose] = number, rows.contiguous()
        return self.blocks[purpose][1][place]


def _normal(size: int) -> Draw:
    return lambda count, draw: torch.randn(count, size, generator=draw)


def _noise(normals: int, signs: int, spread: float) -> Draw:
    """So many that are normal, of this deviation beside signs; then so many that are 1 or -1."""
    normal = _normal(normals)
    if not signs:
        return normal

    def drawn(count: int, draw: torch.Generator) -> Tensor:
        bit_NZ = torch.randint(2, (count, signs), generator=draw)
        return torch.cat([spread * normal(count, draw), 2.0 * bit_NZ - 1], 1)

    return drawn
