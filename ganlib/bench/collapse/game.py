"""Two players of many seeds at once, taking turns on a mixture in the plane.

S seeds, N samples of a step, M points of a pack, Z latent, D = 2 dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.bench.collapse.batched import Discriminator, Generator
from ganlib.bench.collapse.drawing import Drawing
from ganlib.bench.collapse.gaussians import Mixture
from ganlib.bench.collapse.methods import Method
from ganlib.determinism import Replicas, stream
from ganlib.losses import Penalty, adversarial, build_penalties, penalties
from ganlib.training import ema
from ganlib.training.optimiser import Optimiser
from ganlib.training.schedule import factor
from ganlib.training.state import join, part
from ganlib.training.unrolled import Forward, look_ahead

ALONE = Replicas()


@dataclass(frozen=True)
class At:
    """One turn of an iteration; `noise` is the smoothing's standard deviation, 0 without.

    `rate` is what the generator's learning rate is multiplied by, `judging` the discriminator's.
    """

    iteration: int
    turn: int
    rate: float
    judging: float
    noise: float


class Game:
    """A seed's losses are means over its samples, and the seeds' losses are added: no seed's
    gradient reads another seed, and Adam scales each weight alone. So each learns as it would by
    itself, to rounding.
    """

    def __init__(self, method: Method, mixture: Mixture, seeds: Sequence[int]) -> None:
        self.method, self.mixture, self.seeds = method, mixture, tuple(seeds)
        self.scale = mixture.spread() if method.standardised else 1.0
        self.generator = Generator(
            method.generator,
            method.latent + method.signs,
            [stream(s, "weights/generator") for s in seeds],
        )
        self.discriminator = Discriminator(
            method.discriminator,
            method.packing,
            method.minibatch_stddev,
            [stream(s, "weights/discriminator") for s in seeds],
        )
        self.average = ema.start(self.generator)
        self.generator_optimiser = Optimiser(self.generator, method.generator.optimiser)
        self.discriminator_optimiser = Optimiser(self.discriminator, method.discriminator.optimiser)
        self.loss = adversarial.build(method.loss)
        self.penalties = build_penalties(method.penalties)
        self.sides = _sides(self.penalties)
        self.drawing = Drawing(method, mixture, self.seeds)

    def step(self, iteration: int) -> None:
        """The discriminator's steps, each on fresh points, and one of the generator, on the last
        of them.
        """
        share = iteration / self.method.iterations
        schedule, total = self.method.schedule, self.method.iterations
        rates = (
            factor(schedule, iteration, total),
            factor(self.method.discriminator_schedule or schedule, iteration, total),
        )
        noise = self.method.smoothing.at(share) if self.method.smoothing else 0.0
        last = self.method.discriminator_steps - 1
        for turn in range(last):
            at = At(iteration, turn, *rates, noise)
            with torch.no_grad():
                fake_SKD = self.generator(self.drawing.latent(iteration, turn))
            self._discriminator_step(self._real(at), fake_SKD, at)
        at = At(iteration, last, *rates, noise)
        real_SKD = self._real(at)
        fake_SKD = self.generator(self.drawing.latent(iteration, last))
        if self.method.simultaneous:
            self._generator_step(real_SKD, fake_SKD, at)
        self._discriminator_step(real_SKD, fake_SKD.detach(), at)
        if not self.method.simultaneous:
            self._generator_step(real_SKD, fake_SKD, at)
        ema.follow(self.average, self.generator, 1, self.method.ema)

    def _real(self, at: At) -> Tensor:
        return self.drawing.real(at.iteration, at.turn) / self.scale

    def _seen(self, point_SKD: Tensor, purpose: str, at: At) -> Tensor:
        """What the discriminator is shown: smoothed, and packed."""
        if at.noise:
            drawn_SKD = self.drawing.smoothing(purpose, at.iteration, at.turn)
            point_SKD = point_SKD + at.noise * drawn_SKD
        return point_SKD.reshape(len(self.seeds), -1, 2 * self.method.packing)

    def _discriminator_step(self, real_SKD: Tensor, fake_SKD: Tensor, at: At) -> None:
        self.discriminator.requires_grad_(True)
        real_SND, fake_SND = self._seen(real_SKD, "real", at), self._seen(fake_SKD, "fake", at)
        number = at.iteration * self.method.discriminator_steps + at.turn
        due = [penalty for penalty in self.penalties if number % penalty.every == 0]
        unit = (at.noise or 1.0) ** 2
        if due and self.sides:
            real_SN, fake_SN, slope_SN = self._with_slopes(real_SND, fake_SND, self.sides)
            paid = due[0].weight * unit * slope_SN.mean(1).sum()
        else:
            real_SN, fake_SN = self._both(real_SND, fake_SND)
            paid = real_SN.new_zeros(())
            for penalty in due:
                paid = paid + unit * self._penalty(penalty, real_SND, fake_SND, at)
        loss = self.loss.discriminator(real_SN, fake_SN).mean(1).sum() + paid
        self.discriminator_optimiser.step(loss, at.judging, ALONE)

    def _generator_step(self, real_SKD: Tensor, fake_SKD: Tensor, at: At) -> None:
        self.discriminator.requires_grad_(False)
        real_SND, fake_SND = self._seen(real_SKD, "real", at), self._seen(fake_SKD, "fake", at)
        if self.method.unrolled:
            real_SN, fake_SN = self._ahead(real_SND, fake_SND, at.judging)
        else:
            fake_SN, real_SN = self.discriminator(fake_SND), None
            if self.loss.relativistic:
                with torch.no_grad():
                    real_SN = self.discriminator(real_SND)
        loss = self.loss.generator(fake_SN, real_SN).mean(1).sum()
        self.generator_optimiser.step(loss, at.rate, ALONE)

    def _penalty(self, penalty: Penalty, real_SND: Tensor, fake_SND: Tensor, at: At) -> Tensor:
        mix = self.drawing.mix(at.iteration, at.turn).flatten() if penalty.needs_mix else None
        paid = penalty.of(self._flat, real_SND.flatten(0, 1), fake_SND.flatten(0, 1), mix)
        return penalty.weight * paid.view(len(self.seeds), -1).mean(1).sum()

    def _with_slopes(
        self, real_SND: Tensor, fake_SND: Tensor, sides: slice
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, and R1, R2 or their sum from the very pass that gave them, not one of its own."""
        seeds, passed = len(self.seeds), []

        def discriminate(point_LD: Tensor) -> Tensor:
            passed.append(self._flat(point_LD).view(seeds, 2, -1))
            return passed[0][:, sides]

        both_SND = torch.cat([real_SND, fake_SND], 1)
        paid_L = penalties.r1(discriminate, both_SND.flatten(0, 1))
        real_SN, fake_SN = passed[0].unbind(1)
        return real_SN, fake_SN, paid_L.view(seeds, 2, -1).sum(1)

    def _both(self, real_SND: Tensor, fake_SND: Tensor) -> tuple[Tensor, Tensor]:
        real_SN, fake_SN = self.discriminator(torch.cat([real_SND, fake_SND], 1)).chunk(2, 1)
        return real_SN, fake_SN

    def _flat(self, point_LD: Tensor) -> Tensor:
        """The discriminator of all seeds' points in one row, as penalties call it."""
        logit_SN: Tensor = self.discriminator(point_LD.view(len(self.seeds), -1, point_LD.shape[1]))
        return logit_SN.flatten()

    def _ahead(self, real_SND: Tensor, fake_SND: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """The logits of the discriminator some steps from now (Metz et al. 2017, eq. 9-10)."""
        none = real_SND.new_zeros(0)

        def loss(forward: Forward) -> Tensor:
            logits = forward(torch.cat([real_SND, fake_SND], 1), none).chunk(2, 1)
            return self.loss.discriminator(*logits).mean(1).sum()

        ahead = look_ahead(
            self.discriminator,
            self.discriminator_optimiser,
            loss,
            steps=self.method.unrolled,
            factor=rate,
            replicas=ALONE,
            before_each=lambda: None,
        )
        real_SN, fake_SN = ahead(torch.cat([real_SND, fake_SND], 1), none).chunk(2, 1)
        return real_SN, fake_SN

    @torch.no_grad()
    def samples(self, count: int) -> Tensor:
        """-> sample_SND of the averaged generator, in the data's units."""
        sampled_SND: Tensor = self.average(self.drawing.judged(count)) * self.scale
        return sampled_SND

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


def _sides(paid: Sequence[Penalty]) -> slice | None:
    """Of real and fake, those that a slope is asked of, if it is R1, R2 or both of one gamma."""
    if len({(one.weight, one.every) for one in paid}) != 1:
        return None
    asked = tuple(one.name for one in paid)
    return {("r1",): slice(0, 1), ("r2",): slice(1, 2), ("r1", "r2"): slice(0, 2)}.get(asked)
