"""The methods compared, as values: networks, loss, penalties, and what else fights collapse."""

from __future__ import annotations

from typing import Annotated, Literal, assert_never

from pydantic import Field, model_validator

from ganlib.bench.names import Name, Protocol
from ganlib.config import (
    R1,
    R2,
    Adam,
    AdversarialLoss,
    Constant,
    LeastSquares,
    NonSaturating,
    Penalties,
    RelativisticPaired,
    Schedule,
    Step,
    Wasserstein,
    WganGp,
)
from ganlib.config.base import Config, Refusal
from ganlib.config.losses import refuse

GAMMA = 0.01
"""Of R1 and R2: modes are a hundredth as wide as the data, so slopes are a hundred times as steep
as where a gamma of 1 is usual.
"""


class Player(Config):
    """One of the two networks and its optimiser."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    activation: Literal["relu", "leaky_relu", "maxout"]
    pieces: int = Field(default=1, ge=1, description="of maxout (Goodfellow et al. 2013)")
    norm: Literal["none", "batch"] = "none"
    initial_std: float = Field(default=0.02, ge=0, description="of the weights; 0: He et al. 2015")
    waves: tuple[float, ...] = Field(
        default=(), description="angular frequencies whose sines the discriminator sees as well"
    )
    optimiser: Adam

    @model_validator(mode="after")
    def _maxout_alone_has_pieces(self) -> Player:
        if self.pieces > 1 and self.activation != "maxout":
            reason = f"pieces is {self.pieces}, and {self.activation} has none: set maxout, or 1"
            raise Refusal("pieces", reason).error()
        return self


class Smoothing(Config):
    """Normal noise on all that the discriminator sees (Arjovsky and Bottou 2017, section 3).

    Its standard deviation, in units of the data's own, falls geometrically over the first `share`
    of the iterations and stays at `last`: what is smoothed alike is alike only if it is alike
    without. Penalties count slopes for a step as long as the noise, so that they neither forbid the
    narrow features of the end nor allow them at the beginning.
    """

    first: float = Field(default=1.0, gt=0)
    last: float = Field(default=0.01, gt=0)
    share: float = Field(default=0.5, gt=0, le=1)

    def at(self, share: float) -> float:
        """The standard deviation when this share of the iterations is done."""
        return float(self.first * (self.last / self.first) ** min(share / self.share, 1.0))


class Method(Config):
    """How the two players learn; one iteration is one step of the generator."""

    generator: Player
    discriminator: Player
    latent: int = Field(default=2, ge=1)
    signs: int = Field(
        default=0, ge=0, le=64, description="so many more of the latent, each 1 or -1"
    )
    spread: float = Field(
        default=1.0, gt=0, description="standard deviation of the normal latents beside signs"
    )
    loss: AdversarialLoss = NonSaturating()
    penalties: Penalties = Penalties()
    discriminator_steps: int = Field(default=1, ge=1)
    simultaneous: bool = Field(
        default=False, description="the generator does not wait for the discriminator's step"
    )
    packing: int = Field(default=1, ge=1, le=8)
    unrolled: int = Field(default=0, ge=0, le=20, description="steps looked ahead")
    minibatch_stddev: int = Field(default=0, ge=0, description="group size")
    smoothing: Smoothing | None = None
    standardised: bool = Field(default=False, description="data divided by its deviation")
    batch: int = Field(default=100, ge=2, description="packs, where there is packing")
    iterations: int = Field(ge=1)
    schedule: Schedule = Constant()
    discriminator_schedule: Schedule | None = Field(
        default=None, description="of the discriminator's rate; none: the generator's"
    )
    ema: float = Field(default=0, ge=0, description="half-life of the average, in iterations")

    @model_validator(mode="after")
    def _parts_combine(self) -> Method:
        refusal = self._refusal()
        if refusal:
            raise refusal.error()
        return self

    def _refusal(self) -> Refusal | None:
        group = self.minibatch_stddev
        if group and self.batch % group:
            reason = f"groups of {group} do not divide a batch of {self.batch}"
            return Refusal("minibatch_stddev", reason)
        if self.generator.waves:
            reason = "a generator sees no points: give its waves to the discriminator"
            return Refusal("generator.waves", reason)
        if self.unrolled and self.penalties.names():
            paid = " and ".join(self.penalties.names())
            return Refusal("unrolled", f"it looks ahead by the loss alone, and {paid} is paid")
        found = refuse(self.loss, self.penalties, self.discriminator.norm)
        return found and Refusal(found.at.replace(".network", ""), found.reason)


def method(name: Name, protocol: Protocol) -> Method:
    """What `name` is in this protocol; `best` is the same in both.

    The networks are the PacGAN paper's (Lin et al. 2018, section 4.1) for every other method, at
    a quarter of their width in `ours`, and for so many fewer iterations the rates are higher.
    """
    base = _paper() if protocol == "paper" else _narrow()
    match name:
        case "plain":
            return base
        case "lsgan":
            return _with(base, loss=LeastSquares())
        case "wgan_gp":
            # As the authors' code has it for points in the plane.
            critic = Penalties(wgan_gp=WganGp(weight=0.1))
            return _with(base, loss=Wasserstein(), penalties=critic, discriminator_steps=5)
        case "pacgan2":
            return _with(base, packing=2)
        case "pacgan4":
            return _with(base, packing=4)
        case "unrolled":
            return _with(base, unrolled=5)
        case "minibatch_stddev":
            return _with(base, minibatch_stddev=4)
        case "r1":
            return _with(base, penalties=Penalties(r1=R1(gamma=GAMMA)))
        case "r3gan":
            both = Penalties(r1=R1(gamma=GAMMA), r2=R2(gamma=GAMMA))
            return _with(base, loss=RelativisticPaired(), penalties=both)
        case "best":
            return _best()
        case _:
            assert_never(name)


def _with(base: Method, **changes: object) -> Method:
    """Checked again, as `model_copy` would not."""
    return Method.model_validate(base.model_dump() | changes)


def _paper() -> Method:
    """Lin et al. 2018, section 4.1; initial weights, simultaneous steps and batch norm's momentum
    as the authors' code has them.
    """
    adam = Adam(learning_rate=1e-4, beta1=0.8)
    return Method(
        generator=Player(widths=(400,) * 4, activation="relu", norm="batch", optimiser=adam),
        discriminator=Player(widths=(200,) * 3, activation="maxout", pieces=5, optimiser=adam),
        simultaneous=True,
        iterations=400_000,
    )


def _narrow() -> Method:
    """A quarter of the width; weights as large as the wide ones' for their number of inputs."""
    paper, adam = _paper(), Adam(learning_rate=4e-4, beta1=0.8)

    def narrowed(player: Player) -> Player:
        widths = tuple(width // 4 for width in player.widths)
        return player.model_copy(update={"widths": widths, "initial_std": 0.04, "optimiser": adam})

    return paper.model_copy(
        update={
            "generator": narrowed(paper.generator),
            "discriminator": narrowed(paper.discriminator),
            "iterations": 25_000,
        }
    )


def _best() -> Method:
    """A latent that can split, noise that narrows from the data's width, waves, and R1 with R2.

    Bridges: if a generator is at most L times as wide as its latent, a boundary between two modes a
    gap apart is gap / L wide, and holds what the prior holds there. Random signs leave gaps for the
    boundaries (Khayatkhoei et al. 2018 say why a prior should be disconnected), and normal latents
    a tenth as wide beside them are good for what is inside a mode and too narrow to split by.

    Shares: noise as wide as the data shows the discriminator all modes at once, so that their
    shares are right before they part. It must not narrow faster: a quarter narrower where the
    generator's rate is still high, one grid of five lost four of its modes.

    Widths: a piecewise linear discriminator makes a cone of each mode, which draws samples in, but
    no dimple on top of it, which would push them out again, as far as one can tell: without waves
    the modes of this method shrank to .2 to .8 of their width, those of `plain` and `pacgan2` to
    .4 and .5. Sines of the coordinates make dimples.
    While the generator's rate is high it jitters, and what the discriminator sees of it on average
    is wider than what it makes: so its rate falls early and far, the discriminator's less, and the
    second half of the iterations is for the widths to grow back. What jitter remains belongs to
    the widths: a long average of the generator, which takes it away, left them 3 to 6 % narrower,
    and the noise of a batch half as large about as much.

    Tuned on seeds 100 to 112; how fast the noise narrows, on 300 to 304 of the grid as well.
    """
    made, judged = (Adam(learning_rate=rate, beta1=0.0, beta2=0.99) for rate in (1e-3, 1.5e-3))
    milestones = (0.27, 0.33, 0.4, 0.47, 0.53)
    return Method(
        generator=Player(widths=(64,) * 3, activation="relu", initial_std=0, optimiser=made),
        discriminator=Player(
            widths=(64,) * 3,
            activation="leaky_relu",
            initial_std=0,
            waves=(4.0, 16.0, 48.0),
            optimiser=judged,
        ),
        latent=4,
        spread=0.1,
        signs=10,
        penalties=Penalties(r1=R1(gamma=0.05), r2=R2(gamma=0.05)),
        smoothing=Smoothing(first=0.7, last=0.01, share=0.365),
        standardised=True,
        batch=256,
        iterations=24_000,
        schedule=Step(milestones=milestones, gamma=0.35),
        discriminator_schedule=Step(milestones=milestones, gamma=0.65),
        ema=20,
    )
