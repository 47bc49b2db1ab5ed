"""The methods compared on stacks, as GAN configurations."""

from __future__ import annotations

from typing import assert_never

from ganlib.bench.names import Narrow, Protocol, StackedName
from ganlib.config import (
    R1,
    R2,
    Adam,
    Budget,
    Custom,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    Ema,
    GanConfig,
    GeneratorConfig,
    NonSaturating,
    Penalties,
    RelativisticPaired,
)

FIXED = 128_000
"""Stacks that the papers draw once and then train on."""
WIDTH: dict[Narrow, int] = {"quarter": 2, "half": 4}
NETWORKS = "ganlib.bench.stacked.networks"


def stacks_of(protocol: Protocol) -> int:
    """How many stacks there are to learn from; 0: new ones at every step."""
    return FIXED if protocol == "paper" else 0


def easy(name: StackedName, protocol: Protocol, seed: int) -> GanConfig:
    """DCGAN (Radford et al. 2015), its width as in the paper or half of it in `ours`."""
    width, papers = (64 if protocol == "paper" else 32), name != "best"
    norm = "batch" if papers else "none"
    made = DcganGenerator(
        width=width,
        latent_size=100,
        latent="uniform" if papers else "normal",
        conditioning="none",
    )
    judged = DcganDiscriminator(width=width, norm=norm, conditioning="none")
    adam = Adam(learning_rate=2e-4, beta1=0.5)
    return _learning(
        name,
        GanConfig(
            generator=GeneratorConfig(network=made, optimiser=adam),
            discriminator=DiscriminatorConfig(network=judged, optimiser=adam),
            seed=seed,
        ),
    )


def hard(name: StackedName, narrow: Narrow, seed: int) -> GanConfig:
    """A discriminator with a quarter or half of the generator's channels: Metz et al. 2017,
    appendix, with the batch and the rates of Lin et al. 2018, section 4.2.
    """
    options = {"width": WIDTH[narrow], "batch_norm": name != "best"}
    made, judged = (Adam(learning_rate=rate, beta1=0.5, beta2=0.99) for rate in (1e-4, 2e-4))
    return _learning(
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
    )


def _learning(name: StackedName, base: GanConfig) -> GanConfig:
    """The loss, what fights collapse, and the rates where they are not the papers'.

    `best` is the loss of R3GAN (Huang et al. 2024, eq. 6) with R1 and R2, on any networks.
    """
    papers = {"loss": NonSaturating(), "ema": Ema(half_life=0)}
    match name:
        case "plain":
            changes = papers
        case "pacgan2":
            packed = base.discriminator.model_copy(update={"packing": 2})
            changes = papers | {"discriminator": packed}
        case "best":
            adam = Adam(learning_rate=1e-3, beta1=0.0, beta2=0.99)
            changes = {
                "generator": base.generator.model_copy(update={"optimiser": adam}),
                "discriminator": base.discriminator.model_copy(update={"optimiser": adam}),
                "loss": RelativisticPaired(),
                "penalties": Penalties(r1=R1(gamma=1.0), r2=R2(gamma=1.0)),
                "ema": Ema(half_life=20_000),
            }
        case _:
            assert_never(name)
    told = base.model_dump(exclude=set(changes)) | {
        key: value.model_dump() for key, value in changes.items()
    }
    return GanConfig.model_validate(told | {"budget": Budget(images=FAR).model_dump()})


FAR = 2**40
