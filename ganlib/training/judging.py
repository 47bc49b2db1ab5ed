"""What a discriminator says of real and generated images, and what its slope costs.

N images of this rank, M images of a pack, C channels, H W pixels
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganlib.config import Custom, DiscriminatorConfig
from ganlib.losses import Penalty
from ganlib.training.compiled import Passes
from ganlib.training.precision import Arithmetic

Forward = Callable[[Tensor, Tensor], Tensor]
"""(image_NCHW, label_N) -> logit_N, one for each pack, in whatever precision."""


def pack(image_NCHW: Tensor, label_N: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """`images` in a row become one of as many times the channels: (N/M, MC, H, W), (N/M, M).

    PacGAN, Lin et al. 2018, section 3. Packs lie within a rank's share, since shares are multiples
    of a pack, so they are the same on any number of ranks. Of one image nothing is changed.
    """
    if images == 1:
        return image_NCHW, label_N
    contiguous = image_NCHW.contiguous()
    packed_NCHW = contiguous.view(-1, images * contiguous.shape[1], *contiguous.shape[2:])
    return packed_NCHW, label_N.view(-1, images)


@dataclass(frozen=True)
class Judging:
    """A discriminator as a configuration has it look: in packs, halves together or apart.

    It looks through `passes`, compiled perhaps; slopes are taken of the module itself.
    """

    config: DiscriminatorConfig
    discriminator: nn.Module
    passes: Passes
    arithmetic: Arithmetic
    device: torch.device

    @property
    def shares(self) -> bool:
        """Whether logits that a slope was taken of are those of the loss, and not asked for again.

        A slope is float32 and of the module itself: under bfloat16, or compiled, it is not that of
        the logits that the loss is of.
        """
        return not self.arithmetic.bfloat16 and not self.passes.compiled

    def look(self, image_NCHW: Tensor, label_N: Tensor) -> Tensor:
        """The discriminator's forward pass."""
        return self.passes("discriminator", image_NCHW, label_N)

    def one(
        self,
        image_NCHW: Tensor,
        label_N: Tensor,
        forward: Forward | None = None,
        *,
        autocast: bool = True,
    ) -> Tensor:
        """-> logit_N of each pack, in the numbers of losses; of `forward` in its place if given."""
        image_NCHW, label_N = pack(image_NCHW, label_N, self.config.packing)
        with self.arithmetic.autocast(self.device) if autocast else nullcontext():
            logit_N: Tensor = (forward or self.look)(image_NCHW, label_N)
        return logit_N.to(self.arithmetic.dtype)

    def both(
        self,
        real_NCHW: Tensor,
        fake_NCHW: Tensor,
        label_N: Tensor,
        forward: Forward | None = None,
        *,
        autocast: bool = True,
        known: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Real and fake logits of the same classes, from one pass where nothing speaks against it.

        Statistics of real and fake images together would tell them apart by their share, so with
        batch norm, and where a user's own network may have it, each half has a pass of its own. So
        it has where the logits of one are `known`, by the names "real" and "fake".
        """
        if known:
            real_N, fake_N = known.get("real"), known.get("fake")
            real_N = self.one(real_NCHW, label_N) if real_N is None else real_N
            return real_N, self.one(fake_NCHW, label_N) if fake_N is None else fake_N
        network = self.config.network
        if isinstance(network, Custom) or network.norm == "batch":
            real_N = self.one(real_NCHW, label_N, forward, autocast=autocast)
            return real_N, self.one(fake_NCHW, label_N, forward, autocast=autocast)
        both_NCHW, both_N = torch.cat([real_NCHW, fake_NCHW]), torch.cat([label_N, label_N])
        real_N, fake_N = self.one(both_NCHW, both_N, forward, autocast=autocast).chunk(2)
        return real_N, fake_N

    def slope(
        self,
        penalty: Penalty,
        real_NCHW: Tensor,
        fake_NCHW: Tensor,
        label_N: Tensor,
        mix_N: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The mean of `penalty` on what the discriminator sees, before its weight.

        Beside it the logits there, which can be differentiated with it.
        """
        images = self.config.packing
        real_NCHW, pack_N = pack(real_NCHW, label_N, images)
        fake_NCHW, _ = pack(fake_NCHW, label_N, images)

        seen: list[Tensor] = []

        def discriminate(image_NCHW: Tensor) -> Tensor:
            seen.append(self.discriminator(image_NCHW, pack_N))
            return seen[-1]

        mix_N = None if mix_N is None else mix_N[::images]
        value = penalty.of(discriminate, real_NCHW, fake_NCHW, mix_N).mean()
        return value, seen[-1].to(self.arithmetic.dtype)
