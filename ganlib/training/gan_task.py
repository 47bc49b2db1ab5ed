"""Two players taking turns.

N samples of this rank, C channels, H W pixels, Z latent
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.config import GanConfig
from ganlib.determinism import Replicas, stream, sub_seed
from ganlib.losses import adversarial
from ganlib.models import build_discriminator, build_generator, save_model
from ganlib.training import ema
from ganlib.training.loop import Batch
from ganlib.training.optimiser import Optimiser
from ganlib.training.precision import Arithmetic
from ganlib.training.schedule import factor
from ganlib.training.state import join, part


class GanTask:
    """One step is a turn: the discriminator's steps on fresh real images, then the generator's.

    The clock counts the real images. Fakes are asked for the classes of the real images beside
    them, so both follow the data's shares. `average` is the generator that is used.
    """

    def __init__(
        self,
        config: GanConfig,
        *,
        size: int,
        channels: int,
        classes: Sequence[str],
        arithmetic: Arithmetic,
        replicas: Replicas,
        device: torch.device,
    ) -> None:
        self.config, self.arithmetic, self.device = config, arithmetic, device
        self.classes = tuple(classes)
        data = {"size": size, "channels": channels, "classes": len(classes)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sub_seed(config.seed, "weights/generator"))
            generator = build_generator(config.generator.network, **data, replicas=replicas)
            torch.manual_seed(sub_seed(config.seed, "weights/discriminator"))
            discriminator = build_discriminator(
                config.discriminator.network, **data, replicas=replicas
            )
        self.latent_size = int(generator.latent_size)  # type: ignore[arg-type]
        self.generator = arithmetic.place(generator, device).train()
        self.discriminator = arithmetic.place(discriminator, device).train()
        self.average = ema.start(self.generator)
        self.generator_optimiser = Optimiser(self.generator, config.generator.optimiser)
        self.discriminator_optimiser = Optimiser(self.discriminator, config.discriminator.optimiser)
        self.loss = adversarial.build(config.loss)

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> dict[str, Tensor]:
        draws = self.config.discriminator.steps
        rate = factor(self.config.schedule, clock, self.config.budget.images)
        image_NCHW = self.arithmetic.images(batch.image_NHWC)
        parts = list(zip(image_NCHW.chunk(draws), batch.label_N.chunk(draws), strict=True))
        scalars: dict[str, Tensor] = {}

        self.discriminator.requires_grad_(True)
        for turn, (real_NCHW, label_N) in enumerate(parts):
            with torch.no_grad():
                fake_NCHW = self._fake(label_N, f"noise/discriminator/{turn}", clock, replicas)
            scalars |= self._discriminator_step(real_NCHW, fake_NCHW, label_N, rate, replicas)

        self.discriminator.requires_grad_(False)
        for turn in range(self.config.generator.steps):
            real_NCHW, label_N = parts[turn % draws]
            scalars |= self._generator_step(real_NCHW, label_N, turn, clock, rate, replicas)

        shown = draws * self.config.batch_size
        half = ema.half_life(self.config.ema.half_life, self.config.ema.ramp, clock + shown)
        ema.follow(self.average, self.generator, shown, half)
        return scalars

    def _discriminator_step(
        self, real_NCHW: Tensor, fake_NCHW: Tensor, label_N: Tensor, rate: float, replicas: Replicas
    ) -> dict[str, Tensor]:
        """One forward for both halves: the discriminator sees no statistics of a batch."""
        with self.arithmetic.autocast(self.device):
            both_NCHW = torch.cat([real_NCHW, fake_NCHW.to(real_NCHW.dtype)])
            logit_N = self.discriminator(both_NCHW, torch.cat([label_N, label_N]))
        real_N, fake_N = logit_N.to(self.arithmetic.dtype).chunk(2)
        loss = self.loss.discriminator(real_N, fake_N).mean()
        self.discriminator_optimiser.step(loss, rate, replicas)
        return {
            "loss_discriminator": loss.detach(),
            "logit_real": real_N.detach().mean(),
            "logit_fake": fake_N.detach().mean(),
        }

    def _generator_step(
        self,
        real_NCHW: Tensor,
        label_N: Tensor,
        turn: int,
        clock: int,
        rate: float,
        replicas: Replicas,
    ) -> dict[str, Tensor]:
        fake_NCHW = self._fake(label_N, f"noise/generator/{turn}", clock, replicas)
        with self.arithmetic.autocast(self.device):
            fake_N = self.discriminator(fake_NCHW, label_N).to(self.arithmetic.dtype)
            real_N = None
            if self.loss.relativistic:
                with torch.no_grad():
                    real_N = self.discriminator(real_NCHW, label_N).to(self.arithmetic.dtype)
        loss = self.loss.generator(fake_N, real_N).mean()
        self.generator_optimiser.step(loss, rate, replicas)
        return {"loss_generator": loss.detach()}

    def _fake(self, label_N: Tensor, purpose: str, clock: int, replicas: Replicas) -> Tensor:
        """Noise is drawn for all ranks and sliced, so that it does not depend on their number."""
        count = len(label_N) * replicas.world
        generator = stream(self.config.seed, purpose, clock)
        z_NZ = replicas.slice(torch.randn(count, self.latent_size, generator=generator))
        with self.arithmetic.autocast(self.device):
            image_NCHW: Tensor = self.generator(
                z_NZ.to(self.device, self.arithmetic.dtype), label_N
            )
        return image_NCHW

    def state_dict(self) -> dict[str, Tensor]:
        return join(
            {
                "generator": self.generator.state_dict(),
                "discriminator": self.discriminator.state_dict(),
                "average": self.average.state_dict(),
                "generator_optimiser": self.generator_optimiser.state_dict(),
                "discriminator_optimiser": self.discriminator_optimiser.state_dict(),
            }
        )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.generator.load_state_dict(part(state, "generator"))
        self.discriminator.load_state_dict(part(state, "discriminator"))
        self.average.load_state_dict(part(state, "average"))
        self.generator_optimiser.load_state_dict(part(state, "generator_optimiser"))
        self.discriminator_optimiser.load_state_dict(part(state, "discriminator_optimiser"))

    def start_from(self, module: nn.Module) -> None:
        """Take the weights of a generator of the same shape; raises RuntimeError otherwise."""
        self.generator.load_state_dict(module.state_dict())
        self.average.load_state_dict(module.state_dict())

    def export(self, folder: Path, meta: dict[str, Any]) -> None:
        save_model(self.average, folder, kind="generator", classes=self.classes, meta=meta)
