"""The methods compared on stacks, as GAN configurations."""

from __future__ import annotations

from typing import assert_never

from ganlib.bench.names import Name, Narrow, Protocol
from ganlib.config import (
    R1,
    R2,
    Adam,
    Budget,
    Config,
    Custom,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    Ema,
    GanConfig,
    GeneratorConfig,
    LeastSquares,
    NonSaturating,
    Penalties,
    RelativisticPaired,
    Wasserstein,
    WganGp,
    overlay,
)

FIXED = 128_000
"""Stacks that the papers draw once and then train on."""
WIDTH: dict[Narrow, int] = {"quarter": 2, "half": 4}
NETWORKS = "ganlib.bench.stacked.networks"
GROUP = 4  # of minibatch standard deviation
PACKED = {
    "discriminator.packing": 4,
    "generator.optimiser.learning_rate": 5e-4,
    "discriminator.optimiser.learning_rate": 5e-4,
}


def stacks_of(protocol: Protocol) -> int:
    """How many stacks there are to learn from; 0: new ones at every step."""
    return FIXED if protocol == "paper" else 0


def easy(name: Name, protocol: Protocol, seed: int) -> GanConfig:
    """DCGAN (Radford et al. 2015), its width as in the paper or half of it in `ours`."""
    width = 64 if protocol == "paper" else 32
    made = DcganGenerator(
        width=width,
        latent_size=100,
        latent="normal" if name == "best" else "uniform",
        conditioning="none",
    )
    judged = DcganDiscriminator(
        width=width,
        norm="batch" if _normed(name) else "none",
        conditioning="none",
        minibatch_stddev=GROUP if name == "minibatch_stddev" else 0,
    )
    adam = Adam(learning_rate=2e-4, beta1=0.5)
    return _learning(
        name,
        GanConfig(
            generator=GeneratorConfig(network=made, optimiser=adam),
            discriminator=DiscriminatorConfig(network=judged, optimiser=adam),
            seed=seed,
        ),
        ahead=5,
    )


def hard(name: Name, narrow: Narrow, seed: int) -> GanConfig:
    """A discriminator with a quarter or half of the generator's channels: Metz et al. 2017,
    appendix, with the batch and the rates of Lin et al. 2018, section 4.2.

    `best` judges packs of four at half its rate: a few channels see that images are all alike only
    where they see several, and lose the modes again at the rate of larger networks.
    """
    options: dict[str, object] = {"width": WIDTH[narrow], "batch_norm": _normed(name)}
    if name == "minibatch_stddev":
        options["minibatch_stddev"] = GROUP
    made, judged = (Adam(learning_rate=rate, beta1=0.5, beta2=0.99) for rate in (1e-4, 2e-4))
    learning = _learning(
        name,
        GanConfig(
            generator=GeneratorConfig(
                network=Custom(build=f"{NETWORKS}:generator"), optimiser=made
            ),
            discriminator=DiscriminatorConfig(
                network=Custom(build=f"{NETWORKS}:discriminator", options=options),
                optimiser=judged,
            ),
            batch_size=128,
            seed=seed,
        ),
        ahead=10,
    )
    return overlay(learning, PACKED) if name == "best" else learning


def _normed(name: Name) -> bool:
    """Whether the discriminator keeps the papers' batch norm, with which no slope can be paid."""
    return name not in ("wgan_gp", "r1", "r3gan", "best")


def _learning(name: Name, base: GanConfig, ahead: int) -> GanConfig:
    """The loss, what fights collapse, and the rates where they are not the papers'.

    `r3gan` is the loss of Huang et al. 2024 (eq. 2) with R1 and R2 on any networks, `best` the same
    with rates of its own; `unrolled` looks `ahead` so many steps. The others are as on the plane.
    """
    judge = base.discriminator
    both = Penalties(r1=R1(gamma=1.0), r2=R2(gamma=1.0))
    changes: dict[str, Config] = {"loss": NonSaturating(), "ema": Ema(half_life=0)}
    match name:
        case "plain" | "minibatch_stddev":
            pass
        case "lsgan":
            changes |= {"loss": LeastSquares()}
        case "wgan_gp":
            steps = judge.model_copy(update={"steps": 5})
            paid = Penalties(wgan_gp=WganGp())
            changes |= {"loss": Wasserstein(), "penalties": paid, "discriminator": steps}
        case "pacgan2" | "pacgan4":
            packed = judge.model_copy(update={"packing": 2 if name == "pacgan2" else 4})
            changes |= {"discriminator": packed}
        case "unrolled":
            changes |= {"discriminator": judge.model_copy(update={"unrolled": ahead})}
        case "r1":
            changes |= {"penalties": Penalties(r1=R1(gamma=1.0))}
        case "r3gan":
            changes |= {"loss": RelativisticPaired(), "penalties": both}
        case "best":
            adam = Adam(learning_rate=1e-3, beta1=0.0, beta2=0.99)
            changes = {
                "generator": base.generator.model_copy(update={"optimiser": adam}),
                "discriminator": judge.model_copy(update={"optimiser": adam}),
                "loss": RelativisticPaired(),
                "penalties": both,
                "ema": Ema(half_life=20_000),
            }
        case _:
            assert_never(name)
    told = base.model_dump(exclude=set(changes)) | {
        key: value.model_dump() for key, value in changes.items()
    }
    return GanConfig.model_validate(told | {"budget": Budget(images=FAR).model_dump()})


FAR = 2**40
