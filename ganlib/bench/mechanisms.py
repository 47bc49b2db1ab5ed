"""What makes short GAN runs collapse on purpose, and what healthy ones there are.

The cause is in the data of `class drop`, `narrow classes` and `few images`: no other way of
training would help. It is in how the players learn in `rates`, `no normalisation`, `late rates` and
`oscillating`. `Mechanism.in_data` says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

import torch
from torch import Tensor

from ganlib.data import Images
from ganlib.determinism import stream

FEW = 2  # images of each class
NARROW = 5  # images of each class, alike

Lesson = Literal["all", "few", "dropped", "narrow"]
"""Of which images it learns: two of each class, all but one class, or of each class alike ones."""

RACING: dict[str, Any] = {
    "generator.optimiser": {"kind": "adam", "learning_rate": 1e-2, "beta1": 0.9},
    "discriminator.optimiser": {"kind": "adam", "learning_rate": 2e-4, "beta1": 0.9},
}
WITHOUT_CLASSES = {
    "generator.network.conditioning": "none",
    "discriminator.network.conditioning": "none",
}


@dataclass(frozen=True)
class Mechanism:
    """What makes a run collapse, or what sort of healthy run it is.

    `changes` are of the scene's GAN. One that `goes_on` begins where the healthy run of that name
    and of the same seed ended. From a turn on that the seed chooses, it learns its `lesson` by the
    rates of `later`, or by these and its own in turn where it `swings`. Between two readings of its
    own lie `pace` times as many images as in other runs that go on.
    """

    collapses: bool
    changes: Mapping[str, Any] = field(default_factory=dict)
    goes_on: str = ""
    later: Mapping[str, Any] = field(default_factory=dict)
    swings: bool = False
    lesson: Lesson = "all"
    pace: int = 1

    @property
    def in_data(self) -> bool:
        """Whether what is learnt from makes it collapse."""
        return self.lesson != "all"

    @property
    def turns(self) -> bool:
        return self.in_data or bool(self.later)

    def turn(self, seed: int, readings: int) -> int:
        """After which of its own readings it turns: between 20 and 40 % of them."""
        share = 0.2 + 0.2 * float(torch.rand((), generator=stream(seed, "detector/turn")))
        return round(share * readings)

    def races(self, reading: int) -> bool:
        """Whether the rates of `later` hold so many readings after the turn."""
        return bool(self.later) and (not self.swings or reading % 4 < 2)


STANDING, HEEDLESS = "as the recipe stands", "without classes"
BASES = (STANDING, HEEDLESS)
MECHANISMS = {
    STANDING: Mechanism(False),
    HEEDLESS: Mechanism(False, WITHOUT_CLASSES),
    "goes on": Mechanism(False, goes_on=STANDING),
    "goes on without classes": Mechanism(False, WITHOUT_CLASSES, HEEDLESS),
    "slower": Mechanism(
        False,
        {
            "generator.optimiser.learning_rate": 1e-3,
            "discriminator.optimiser.learning_rate": 1e-3,
        },
        STANDING,
    ),
    "penalised": Mechanism(
        False,
        {"loss": {"kind": "non_saturating"}, "penalties.r1": {"gamma": 0.1, "every": 4}},
        STANDING,
    ),
    "augmented": Mechanism(False, {"augmentation": {"kind": "diffaugment"}}, STANDING),
    "rates": Mechanism(True, {"discriminator.network.norm": "none", **RACING}),
    "no normalisation": Mechanism(
        True,
        {
            "generator.network.norm": "none",
            "discriminator.network.norm": "none",
            "generator.optimiser.beta1": 0.5,
            "discriminator.optimiser.beta1": 0.5,
        },
    ),
    "late rates": Mechanism(True, goes_on=STANDING, later=RACING),
    "oscillating": Mechanism(True, goes_on=STANDING, later=RACING, swings=True),
    # A generator forgets a class of MNIST more slowly than 80 steps take.
    "class drop": Mechanism(True, WITHOUT_CLASSES, HEEDLESS, lesson="dropped", pace=4),
    "narrow classes": Mechanism(True, goes_on=STANDING, lesson="narrow"),
    "few images": Mechanism(True, goes_on=STANDING, lesson="few"),
}


def file_of(name: str, seed: int) -> str:
    """The folder of a run of this mechanism."""
    return f"{name.replace(' ', '-')}-{seed}"


def learnt(images: Images, classes: int, lesson: Lesson, seed: int) -> Images:
    """What of `images` is learnt; the class that is dropped and what is alike follow the seed."""
    label_N = images.label_N
    match lesson:
        case "all":
            return images
        case "few":
            row_N = torch.cat([_drawn(label_N, k, seed)[:FEW] for k in range(classes)])
        case "dropped":
            row_N = (label_N != seed % classes).nonzero()[:, 0]
        case "narrow":
            row_N = torch.cat([_alike(images, k, seed) for k in range(classes)])
        case _:
            assert_never(lesson)
    return Images(images.image_NHWC[row_N], label_N[row_N])


def _drawn(label_N: Tensor, label: int, seed: int) -> Tensor:
    """row_N of a class in random order."""
    row_N = (label_N == label).nonzero()[:, 0]
    return row_N[torch.randperm(len(row_N), generator=stream(seed, "detector/drawn", label))]


def _alike(images: Images, label: int, seed: int) -> Tensor:
    """row_N of the images of a class that are nearest, in pixels, to one of them."""
    row_N = _drawn(images.label_N, label, seed)
    flat_NF = images.image_NHWC[row_N].flatten(1).float()
    return row_N[(flat_NF - flat_NF[:1]).square().sum(1).argsort()[:NARROW]]
