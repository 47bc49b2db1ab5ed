"""Two players taking turns.

N samples of this rank, C channels, H W pixels, Z latent
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.config import Custom, GanConfig
from ganlib.data.images import sent
from ganlib.determinism import Replicas, stream, sub_seed
from ganlib.errors import ConfigError
from ganlib.losses import Penalty, adversarial, build_penalties
from ganlib.models import build_discriminator, build_generator, draw, kind_of, save_model
from ganlib.models.custom import normalises_over_batch
from ganlib.models.norms import Spectra
from ganlib.training import ema
from ganlib.training.compiled import Passes
from ganlib.training.feed import Batch, blank
from ganlib.training.judging import Forward, Judging
from ganlib.training.optimiser import Optimiser
from ganlib.training.parts import mean
from ganlib.training.precision import Arithmetic
from ganlib.training.schedule import factor
from ganlib.training.sight import Sight
from ganlib.training.state import join, part
from ganlib.training.turn import At, Half
from ganlib.training.unrolled import look_ahead

Scalars = dict[str, Tensor]


class GanTask:
    """One step is a turn: the discriminator's steps on fresh real images, then the generator's.

    The clock counts the real images. Fakes are asked for the classes of the real images beside
    them, so both follow the data's shares. `average` is the generator that is used. The power
    iteration of spectral norm takes one step for each optimiser step of either player.
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
        self.loss = adversarial.build(config.loss)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sub_seed(config.seed, "weights/generator"))
            generator = build_generator(config.generator.network, **data, replicas=replicas)
            torch.manual_seed(sub_seed(config.seed, "weights/discriminator"))
            discriminator = build_discriminator(
                config.discriminator.network,
                **data,
                replicas=replicas,
                packing=config.discriminator.packing,
                bias=not self.loss.differences,
            )
        _refuse_batch_norms(config, {"generator": generator, "discriminator": discriminator})
        self.latent_size = int(generator.latent_size)  # type: ignore[arg-type]
        self.generator = arithmetic.place(generator, device).train()
        self.discriminator = arithmetic.place(discriminator, device).train()
        self.average = ema.start(self.generator)
        self.generator_optimiser = Optimiser(self.generator, config.generator.optimiser)
        self.discriminator_optimiser = Optimiser(self.discriminator, config.discriminator.optimiser)
        self.penalties = build_penalties(config.penalties)
        self.sight = Sight(config.augmentation, config.seed, device)
        self.spectra = Spectra(self.generator, self.discriminator)
        self.passes = Passes(
            config.compile,
            device,
            replicas,
            refused=_cannot_compile(config),
            generator=self.generator,
            discriminator=self.discriminator,
        )
        self.judging = Judging(
            config.discriminator, self.discriminator, self.passes, arithmetic, device
        )
        turn = config.batch_size // replicas.world * config.discriminator.steps
        self.passes.rehearse(self, blank(turn, size, channels, device))

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> Scalars:
        self.passes.begin()
        draws = self.config.discriminator.steps
        rate = factor(self.config.schedule, clock, self.config.budget.images)
        at = At(clock, replicas, rate)
        turns = list(zip(batch.image_NHWC.chunk(draws), batch.label_N.chunk(draws), strict=True))
        before = clock // (draws * self.config.batch_size) * draws

        self.discriminator_optimiser.teach(True)
        judged = []
        for turn, (real_NHWC, label_N) in enumerate(turns):
            half = self._half(real_NHWC, label_N, f"discriminator/{turn}", at)
            judged.append(self._discriminator_step(half, before + turn, at))

        self.discriminator_optimiser.teach(False)
        made = []
        for turn in range(self.config.generator.steps):
            half = self._half(*turns[turn % draws], f"generator/{turn}", at)
            made.append(self._generator_step(half, at))

        shown = draws * self.config.batch_size
        length = ema.half_life(self.config.ema.half_life, self.config.ema.ramp, clock + shown)
        ema.follow(self.average, self.generator, shown, length)
        return mean(judged) | mean(made)

    def _half(self, real_NHWC: Tensor, label_N: Tensor, purpose: str, at: At) -> Half:
        """Noise is drawn for all ranks and sliced, so that it does not depend on their number."""
        count, seed = len(label_N), self.config.seed
        everyone = count * at.replicas.world
        noise = stream(seed, f"noise/{purpose}", at.clock)
        z_NZ = draw(everyone, self.latent_size, kind_of(self.generator), noise)
        judges = purpose.startswith("discriminator")
        mix_N = real_draws = None
        if judges and any(penalty.needs_mix for penalty in self.penalties):
            mix = stream(seed, f"mix/{purpose}", at.clock)
            mix_N = sent(at.replicas.slice(torch.rand(everyone, generator=mix)), self.device)
        if judges or self._compares:
            real_draws = self.sight.draws(f"real/{purpose}", at.clock, count, at.replicas)
        return Half(
            real_NHWC,
            label_N,
            sent(at.replicas.slice(z_NZ).to(self.arithmetic.dtype), self.device),
            mix_N,
            real_draws,
            self.sight.draws(f"fake/{purpose}", at.clock, count, at.replicas),
        )

    @property
    def _compares(self) -> bool:
        """Whether the generator's loss looks at real images as well."""
        return self.loss.relativistic or self.config.discriminator.unrolled > 0

    def _discriminator_step(self, whole: Half, number: int, at: At) -> Scalars:
        due = [penalty for penalty in self.penalties if number % penalty.every == 0]
        told: list[Scalars] = []

        def losses() -> Iterator[Tensor]:
            for half in whole.split(self.config.accumulate):
                loss, scalars = self._discriminator_loss(half, due)
                told.append(scalars)
                yield loss / self.config.accumulate

        self.spectra.step()
        self.discriminator_optimiser.step(losses(), at.rate, at.replicas)
        signs = torch.stack([one.pop("signs") for one in told]).sum()
        self.sight.learn(signs, len(whole.label_N), number, at.replicas)
        return mean(told) | {"slope_discriminator": self.discriminator_optimiser.slope()}

    def _discriminator_loss(self, half: Half, due: Sequence[Penalty]) -> tuple[Tensor, Scalars]:
        with torch.no_grad():
            fake_NCHW = self._fake(half)
        real_NCHW = self.sight.see(self.arithmetic.images(half.real_NHWC), half.real_draws)
        fake_NCHW = self.sight.see(fake_NCHW.to(real_NCHW.dtype), half.fake_draws)
        slopes = {
            penalty.name: self.judging.slope(
                penalty, real_NCHW, fake_NCHW, half.label_N, half.mix_N
            )
            for penalty in due
        }
        shared = due if self.judging.shares else ()
        known: dict[str, Tensor] = {
            penalty.at: slopes[penalty.name][1] for penalty in shared if not penalty.needs_mix
        }
        real_N, fake_N = self.judging.both(real_NCHW, fake_NCHW, half.label_N, known=known)
        loss = self.loss.discriminator(real_N, fake_N).mean()
        scalars = {
            "loss_discriminator": loss.detach(),
            "logit_real": real_N.detach().mean(),
            "logit_fake": fake_N.detach().mean(),
            "win_rate": _share_above(real_N.detach(), fake_N.detach()),
            # A pack counts as its images.
            "signs": self.config.discriminator.packing * real_N.detach().sign().double().sum(),
        }
        for penalty in self.penalties:
            value = torch.zeros_like(loss)
            if penalty in due:
                value, _ = slopes[penalty.name]
                loss = loss + penalty.weight * value
            # So many times its value where it is due that the mean over steps is its mean.
            scalars[f"penalty_{penalty.name}"] = penalty.every * value.detach()
        return loss, scalars

    def _generator_step(self, whole: Half, at: At) -> Scalars:
        told: list[Scalars] = []

        def losses() -> Iterator[Tensor]:
            for half in whole.split(self.config.accumulate):
                loss = self._generator_loss(half, at)
                told.append({"loss_generator": loss.detach()})
                yield loss / self.config.accumulate

        self.spectra.step()
        self.generator_optimiser.step(losses(), at.rate, at.replicas)
        return mean(told) | {"slope_generator": self.generator_optimiser.slope()}

    def _generator_loss(self, half: Half, at: At) -> Tensor:
        fake_NCHW = self.sight.see(self._fake(half), half.fake_draws)
        if self.config.discriminator.unrolled:
            real_NCHW = self.sight.see(self.arithmetic.images(half.real_NHWC), half.real_draws)
            return self._unrolled_loss(real_NCHW, fake_NCHW.to(real_NCHW.dtype), half.label_N, at)
        fake_N = self.judging.one(fake_NCHW, half.label_N)
        real_N = None
        if self.loss.relativistic:
            with torch.no_grad():
                real_NCHW = self.sight.see(self.arithmetic.images(half.real_NHWC), half.real_draws)
                real_N = self.judging.one(real_NCHW, half.label_N)
        return self.loss.generator(fake_N, real_N).mean()

    def _unrolled_loss(
        self, real_NCHW: Tensor, fake_NCHW: Tensor, label_N: Tensor, at: At
    ) -> Tensor:
        """Without autocast, since the slopes of slopes are small."""

        def both(forward: Forward) -> tuple[Tensor, Tensor]:
            return self.judging.both(real_NCHW, fake_NCHW, label_N, forward, autocast=False)

        ahead = look_ahead(
            self.discriminator,
            self.discriminator_optimiser,
            lambda forward: self.loss.discriminator(*both(forward)).mean(),
            steps=self.config.discriminator.unrolled,
            factor=at.rate,
            replicas=at.replicas,
            before_each=self.spectra.step,
        )
        real_N, fake_N = both(ahead)
        return self.loss.generator(fake_N, real_N).mean()

    def _fake(self, half: Half) -> Tensor:
        with self.arithmetic.autocast(self.device):
            image_NCHW = self.passes("generator", half.z_NZ, half.label_N)
        return image_NCHW

    def state_dict(self) -> dict[str, Tensor]:
        return join(
            {
                "generator": self.generator.state_dict(),
                "discriminator": self.discriminator.state_dict(),
                "average": self.average.state_dict(),
                "generator_optimiser": self.generator_optimiser.state_dict(),
                "discriminator_optimiser": self.discriminator_optimiser.state_dict(),
                "sight": self.sight.state_dict(),
            }
        )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.generator.load_state_dict(part(state, "generator"))
        self.discriminator.load_state_dict(part(state, "discriminator"))
        self.average.load_state_dict(part(state, "average"))
        self.generator_optimiser.load_state_dict(part(state, "generator_optimiser"))
        self.discriminator_optimiser.load_state_dict(part(state, "discriminator_optimiser"))
        self.sight.load_state_dict(part(state, "sight"))

    def start_from(self, module: nn.Module) -> None:
        """Take the weights of a generator of the same shape; raises RuntimeError otherwise."""
        self.generator.load_state_dict(module.state_dict())
        self.average.load_state_dict(module.state_dict())

    def export(self, folder: Path, meta: dict[str, Any]) -> None:
        save_model(self.average, folder, kind="generator", classes=self.classes, meta=meta)


def _refuse_batch_norms(config: GanConfig, players: Mapping[str, nn.Module]) -> None:
    """What the configuration refuses of our networks, it could not see of a user's own."""
    for name, module in players.items():
        network = getattr(config, name).network
        if not isinstance(network, Custom) or not normalises_over_batch(module):
            continue
        norms = dict.fromkeys(players, "custom") | {name: "batch"}
        if refusal := config.refusal(norms):
            raise ConfigError(f"{network.build}: {refusal.reason}", where=f"{name}.network")


def _cannot_compile(config: GanConfig) -> str:
    if not config.discriminator.unrolled:
        return ""
    return "discriminator.unrolled differentiates the discriminator's steps, so twice"


def _share_above(real_N: Tensor, fake_N: Tensor) -> Tensor:
    """Of pairs whose real image has the higher logit; a draw is half of one."""
    return ((real_N - fake_N).sign().mean() + 1) / 2
