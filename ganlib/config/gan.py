"""A GAN: two players, a loss, how they take turns, and when to stop."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ganlib.config.augmentation import Ada, DiscriminatorAugmentation
from ganlib.config.base import Config, Refusal
from ganlib.config.collapse import Collapse, Record
from ganlib.config.custom import Custom
from ganlib.config.gan_networks import (
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorNetwork,
    GeneratorNetwork,
)
from ganlib.config.losses import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Penalties,
    RelativisticPaired,
    Wasserstein,
    refuse,
)
from ganlib.config.training import (
    Adam,
    Budget,
    Cadence,
    Compile,
    Constant,
    Plateau,
    Precision,
    Schedule,
    indivisible,
    outgrown,
)


class GeneratorConfig(Config):
    network: GeneratorNetwork = DcganGenerator()
    optimiser: Adam = Adam(beta1=0.0)
    steps: int = Field(default=1, ge=1, le=16, description="generator steps per turn")


class DiscriminatorConfig(Config):
    network: DiscriminatorNetwork = DcganDiscriminator()
    optimiser: Adam = Adam(beta1=0.0)
    steps: int = Field(default=1, ge=1, le=16, description="discriminator steps per turn")
    packing: int = Field(
        default=1, ge=1, le=4, description="images judged together (PacGAN, Lin et al. 2018)"
    )
    unrolled: int = Field(
        default=0,
        ge=0,
        le=16,
        description="discriminator steps the generator looks ahead (Metz et al. 2017)",
    )


class Ema(Config):
    """Exponential moving average of the generator's weights; half-life ramps up at the start."""

    half_life: int = Field(default=50_000, ge=0, description="images; 0 switches it off")
    ramp: float = Field(default=0.05, gt=0, le=1, description="half-life is at most ramp * clock")

    @model_validator(mode="after")
    def _something_ramps_up(self) -> Ema:
        if not self.half_life and self.ramp != 0.05:
            raise Refusal(
                "ramp",
                f"ramp is {self.ramp}, and half_life is 0, which switches the average off: leave "
                "ramp out, or give half_life some images",
            ).error()
        return self


class GanConfig(Config):
    """The clock of a GAN counts the real images its discriminator has seen."""

    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: AdversarialLoss = Hinge()
    penalties: Penalties = Penalties()
    augmentation: DiscriminatorAugmentation | None = Field(
        default=None, description="of what the discriminator sees, real and fake"
    )
    schedule: Schedule = Constant()
    ema: Ema = Ema()
    batch_size: int = Field(default=64, ge=2, description="over all workers")
    accumulate: int = Field(
        default=1, ge=1, le=64, description="parts a worker's batch is taken in, to save memory"
    )
    budget: Budget = Budget(images=100_000)
    cadence: Cadence = Cadence()
    evaluate: Literal["inside", "beside"] = Field(
        default="inside",
        description="beside: asynchronously, by a task of its own while training goes on; whatever "
        "is decided by readings is then decided one evaluation later",
    )
    plateau: Plateau | None = None
    precision: Precision = "auto"
    collapse: Collapse = Record()
    compile: Compile = Field(
        default="none",
        description="forward passes by torch.compile, as CUDA graphs too if asked; minutes at the "
        "start, and on a CPU no faster; left out with the reason where it does not work",
    )
    seed: int = Field(default=0, ge=0, lt=2**31)
    init_from: str | None = Field(
        default=None, description="models:/name/version or models:/name@alias"
    )

    @model_validator(mode="after")
    def _parts_combine(self) -> GanConfig:
        players = {"generator": self.generator.network, "discriminator": self.discriminator.network}
        norms = {
            name: "custom" if isinstance(network, Custom) else network.norm
            for name, network in players.items()
        }
        refusal = self.refusal(norms) or self._unrolls() or self._adapts() or self._asks()
        turn = self.batch_size * self.discriminator.steps
        refusal = refusal or outgrown(turn, self.schedule, self.budget) or self.uneven(1)
        if refusal:
            raise refusal.error()
        return self

    def refusal(self, norms: dict[str, str]) -> Refusal | None:
        """Why players of these norms cannot be trained like this, or none where they can.

        `norms` are those of "generator" and "discriminator"; "custom" is taken for what it may be.
        """
        # Nobody knows what a user's own network bounds.
        norm = "spectral" if norms["discriminator"] == "custom" else norms["discriminator"]
        refusal = refuse(self.loss, self.penalties, norm) or self._accumulates(norms)
        if refusal is None and norm == "batch" and self.batch_size < 2 * self.discriminator.packing:
            return Refusal(
                "batch_size",
                f"batch_size is {self.batch_size}, a single pack of {self.discriminator.packing}, "
                "and discriminator.network normalises over the batch: one sample has no variance",
            )
        return refusal

    def _adapts(self) -> Refusal | None:
        augmentation = self.augmentation
        if not isinstance(augmentation, Ada) or augmentation.fixed is not None:
            return None
        if isinstance(self.loss, LeastSquares | Wasserstein | RelativisticPaired):
            return Refusal(
                "augmentation",
                "augmentation ada follows the sign of the discriminator's logits at real images, "
                f"and zero divides nothing under the loss {self.loss.kind}: set augmentation.fixed "
                "to a probability, or take the loss hinge, non_saturating or minimax",
            )
        return None

    def _asks(self) -> Refusal | None:
        """Both players know the class, or neither."""
        generator, discriminator = self.generator.network, self.discriminator.network
        if isinstance(generator, Custom) or isinstance(discriminator, Custom):
            return None
        asked, judged = generator.conditioning != "none", discriminator.conditioning != "none"
        if asked == judged:
            return None
        knows, blind = ("generator", "discriminator") if asked else ("discriminator", "generator")
        return Refusal(
            f"{blind}.network.conditioning",
            f"{knows}.network.conditioning is {getattr(self, knows).network.conditioning} and that "
            f"of the {blind} is none, so that nobody would teach the class: set both or neither",
        )

    def _unrolls(self) -> Refusal | None:
        if not self.discriminator.unrolled:
            return None
        if self.penalties.names():
            return Refusal(
                "discriminator.unrolled",
                "discriminator.unrolled looks ahead by the loss alone, and there is a penalty "
                f"{self.penalties.names()[0]}: a third derivative would be needed",
            )
        if self.accumulate > 1:
            return Refusal(
                "accumulate",
                "discriminator.unrolled looks ahead on the whole batch: set accumulate to 1",
            )
        return None

    def _accumulates(self, norms: dict[str, str]) -> Refusal | None:
        if self.accumulate == 1:
            return None
        for name, norm in norms.items():
            if norm == "batch":
                return Refusal(
                    "accumulate",
                    f"accumulate is {self.accumulate}, and {name}.network normalises over the "
                    "whole batch: parts of it would have other statistics; give it another norm",
                )
        return None

    def uneven(self, workers: int) -> Refusal | None:
        """Why the batch is not that of `workers` workers in whole parts, packs and groups."""
        network, packing = self.discriminator.network, self.discriminator.packing
        group = 1 if isinstance(network, Custom) else max(1, network.minibatch_stddev)
        made_of = f"accumulate {self.accumulate} times packing {packing}"
        if group > 1:
            made_of += f" times the {group} samples of a group of minibatch_stddev"
        return indivisible(self.batch_size, workers, self.accumulate * packing * group, made_of)
