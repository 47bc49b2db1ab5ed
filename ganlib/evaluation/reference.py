"""The real side of an evaluation, and what other real images score against it.

N samples, H W pixels, C channels, K classes, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

import torch
from torch import Tensor

from ganlib.data import ImageRows
from ganlib.determinism import Replicas, stream
from ganlib.errors import ConfigError
from ganlib.evaluation.extractor import Extractor, Seen
from ganlib.evaluation.kept import Kept
from ganlib.evaluation.pairs import InRanks, Pairs
from ganlib.metrics import (
    Fit,
    KernelSide,
    PrdcSums,
    class_shares,
    of_each_class,
    quantile_apart,
    scaled_distance,
)
from ganlib.metrics.support import NEAR

# Draws of other real images, where so many are there that nothing learnt from.
DRAWS = 3


@dataclass(frozen=True)
class Floor:
    """Real against real: what a perfect generator scores on average, at `samples` each.

    Of training images it is what the extractor makes of what it learnt, which is worse or better.
    """

    scaled_distance: float
    precision: float
    recall: float
    density: float
    coverage: float
    samples: int


@dataclass(frozen=True, eq=False)
class Reference:
    """Held-out images in an extractor's features, and equally many others that are real as well.

    `row_N` is where the images lie among those it was built from; `judging` whether the logits are
    of these images' own classes. `unseen` of the others are images that nothing learnt from; `more`
    are further draws of such, as many each, that have no image in common.
    `pairs` says who looks at all pairs, `kept` holds under `name` what was found of these images
    before.
    """

    real: Seen
    other: Seen | None
    row_N: Tensor
    classes: int
    extractor: str
    judging: bool = True
    unseen: int = 0
    name: str = "reference"
    pairs: Pairs = field(default_factory=InRanks, repr=False)
    kept: Kept = field(default_factory=Kept, repr=False)
    more: tuple[Seen, ...] = ()
    # What is computed once, by number of neighbours.
    _squared_radii: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _class_radii: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _floors: dict[int, tuple[Floor, ...]] = field(default_factory=dict, repr=False)

    @property
    def samples(self) -> int:
        return len(self.real)

    def shares(self) -> Tensor:
        """share_K of the true classes, which generated samples are to follow."""
        return class_shares(self.real.label_N, self.classes)

    @cached_property
    def trace(self) -> float:
        """Of the features' covariance: what a distance is scaled by."""
        return float(self.fit.trace)

    @cached_property
    def fit(self) -> Fit:
        """The Gaussian of the real features."""
        found = self.kept.tensors(
            f"{self.name}-fit", lambda: _told(self.pairs.fit(self.real.feature_NF))
        )
        wide = {name: value.double() for name, value in found.items()}
        return Fit(count=self.samples, **wide)

    @cached_property
    def class_fits(self) -> Mapping[int, Fit]:
        """Those of each class."""
        return self.pairs.class_fits(self.real.feature_NF, self.real.label_N)

    @cached_property
    def kernel(self) -> KernelSide:
        """The real side of a kernel distance to equally many others."""
        found = self.kept.tensors(
            f"{self.name}-kernel",
            lambda: self.pairs.kernel_side(self.real.feature_NF, self.samples).tensors(),
        )
        return KernelSide.from_tensors(self.samples, found)

    def squared_radii(self, neighbours: int, replicas: Replicas | None = None) -> Tensor:
        """radius_N. Raises ConfigError if there are too few images for `neighbours`."""
        if neighbours not in self._squared_radii:
            _enough(self.samples, neighbours)
            pairs = self._looking(replicas)
            found = self.kept.tensors(
                f"{self.name}-radii-{neighbours}",
                lambda: {"radius_N": pairs.squared_radii(self.real.feature_NF, neighbours)},
            )
            self._squared_radii[neighbours] = found["radius_N"].double()
        return self._squared_radii[neighbours]

    def class_coverage(
        self,
        fake_MF: Tensor,
        of_class_M: Tensor,
        neighbours: int,
        replicas: Replicas | None = None,
    ) -> Tensor:
        """covered_K of generated features and their classes, as `metrics.class_coverage`.

        Shared as `compare` is.
        """
        real_NF, label_N, pairs = self.real.feature_NF, self.real.label_N, self._looking(replicas)
        if neighbours not in self._class_radii:
            found = self.kept.tensors(
                f"{self.name}-class-radii-{neighbours}",
                lambda: {"radius_N": pairs.class_radii(real_NF, label_N, neighbours)},
            )
            self._class_radii[neighbours] = found["radius_N"].double()
        radius_N = self._class_radii[neighbours]
        covered_N = pairs.class_covered(real_NF, label_N, radius_N, fake_MF, of_class_M)
        return of_each_class(covered_N, label_N, self.classes, neighbours)

    def near_radius(self) -> float:
        """The squared distance within which one real sample in a hundred has another one."""
        return quantile_apart(self.squared_radii(1), NEAR)

    def floor(self, neighbours: int) -> Floor:
        """The other real images against these; without any, one half of these against the other.

        The mean of the draws, if there are several. Raises ConfigError if there are too few images
        for `neighbours`.
        """
        found = self.floors(neighbours)
        if len(found) == 1:
            return found[0]
        names = ("scaled_distance", "precision", "recall", "density", "coverage")
        means = {name: fmean(getattr(one, name) for one in found) for name in names}
        return Floor(**means, samples=found[0].samples)

    def floors(self, neighbours: int) -> tuple[Floor, ...]:
        """One of each draw of other real images."""
        if neighbours not in self._floors:
            self._floors[neighbours] = tuple(
                self._kept_floor(neighbours, draw, *pair) for draw, pair in enumerate(self.draws())
            )
        return self._floors[neighbours]

    def _kept_floor(self, neighbours: int, draw: int, real: Seen, other: Seen) -> Floor:
        found = self.kept.numbers(
            f"{self.of_draw('floor', draw)}-{neighbours}",
            lambda: vars(self._floor(neighbours, real, other)),
        )
        return Floor(**{**found, "samples": int(found["samples"])})  # type: ignore[arg-type]

    def of_draw(self, what: str, draw: int) -> str:
        """The name under which it is kept."""
        return f"{self.name}-{what}" + (f"-{draw}" if draw else "")

    def draws(self) -> tuple[tuple[Seen, Seen], ...]:
        """The real against each draw of other real images, equally many."""
        return (self.pair(), *((self.real, other) for other in self.more))

    def pair(self) -> tuple[Seen, Seen]:
        """The real against the other real images, equally many; or their own two halves."""
        if self.other is None:
            half = self.samples // 2
            return self.real[:half], self.real[half : 2 * half]
        count = min(self.samples, len(self.other))
        return (self.real if count == self.samples else self.real[:count]), self.other[:count]

    def told(self) -> str:
        """Which real images the floor is of."""
        count, unseen = len(self.pair()[1]), self.unseen
        if self.other is None:
            return f"one half of the held-out images, {count:,},"
        kinds = {"validation": min(unseen, count), "training": count - min(unseen, count)}
        told = " and ".join(f"{n:,} {kind} images" for kind, n in kinds.items() if n)
        return f"{1 + len(self.more)} times {told}" if self.more else told

    def _floor(self, neighbours: int, real: Seen, other: Seen) -> Floor:
        _enough(len(real), neighbours)
        real_NF, other_NF, whole = real.feature_NF, other.feature_NF, real is self.real
        found = self.pairs.compare(
            real_NF,
            other_NF,
            self.squared_radii(neighbours)
            if whole
            else self.pairs.squared_radii(real_NF, neighbours),
            self.pairs.squared_radii(other_NF, neighbours),
        ).finish(neighbours)
        return Floor(
            scaled_distance=scaled_distance(real_NF, other_NF),
            samples=len(real),
            **vars(found),
        )

    def split_half(self, seed: int) -> float:
        """Scaled distance between two random halves: at half the count, so it errs upwards."""
        row_N = _drawn(self.samples, None, seed, "halves").to(self.real.feature_NF.device)
        half = self.samples // 2
        return scaled_distance(
            self.real.feature_NF[row_N[:half]], self.real.feature_NF[row_N[half : 2 * half]]
        )

    def compare(
        self, fake_NF: Tensor, neighbours: int, replicas: Replicas | None = None
    ) -> PrdcSums:
        """Generated features, as many as there are real ones, against these.

        Each rank compares its part of the blocks, and all get the same sums whatever their number.
        """
        pairs = self._looking(replicas)
        return pairs.compare(
            self.real.feature_NF,
            fake_NF,
            self.squared_radii(neighbours, replicas),
            pairs.squared_radii(fake_NF, neighbours),
        )

    def _looking(self, replicas: Replicas | None) -> Pairs:
        return InRanks(replicas) if replicas is not None and replicas.world > 1 else self.pairs


def build(
    image_NHWC: Tensor,
    label_N: Tensor,
    extractor: Extractor,
    samples: int | None,
    seed: int,
    *,
    classes: int | None = None,
    judging: bool = True,
    other_NHWC: ImageRows | None = None,
    other_label_N: Tensor | None = None,
    unseen: int = 0,
    pairs: Pairs | None = None,
    kept: Kept | None = None,
) -> Reference:
    """`samples` of the held-out images at random, or all, in an order drawn from `seed`.

    `other_NHWC` are other real images: equally many of them, at random, are what real-against-real
    compares with, of each class as many as there are held-out ones where `other_label_N` says the
    classes. The first `unseen` are those that nothing learnt from, and are taken before the rest;
    where they suffice for more draws that share no image, there are up to DRAWS.
    Without others it is two halves of the held-out images.
    `classes` is how many there are, as many as the extractor knows if it is not given, and not
    `judging` says that they are not the extractor's. `kept` is for these images and this extractor.
    """
    kept = kept or Kept()
    row_N = _drawn(len(image_NHWC), samples, seed, "reference")
    name = f"{len(row_N)}-{seed}"
    real = _seen(kept, f"real-{name}", extractor, image_NHWC, row_N, label_N.cpu()[row_N])
    others: list[Seen] = []
    taken = 0
    if other_NHWC is not None:
        seen_N = _drawn(len(other_NHWC) - unseen, None, seed, "other") + unseen
        other_N = torch.cat([_drawn(unseen, None, seed, "unseen"), seen_N])
        known_N = None if other_label_N is None else other_label_N.cpu()[other_N]
        parts = _disjoint(other_N, known_N, real.label_N, unseen)
        name += f"-{len(parts[0])}" + ("" if known_N is None else "-like")
        name += f"-{unseen}" if unseen else ""
        taken = int((other_N[parts[0]] < unseen).sum())
        for draw, row_B in enumerate(parts):
            label_B = torch.zeros_like(row_B) if known_N is None else known_N[row_B]
            own = f"other-{name}" + (f"-{draw}" if draw else "")
            others.append(_seen(kept, own, extractor, other_NHWC, other_N[row_B], label_B))
    return Reference(
        real=real,
        other=others[0] if others else None,
        row_N=row_N,
        classes=real.logits_NK.shape[1] if classes is None else classes,
        extractor=extractor.name,
        judging=judging,
        unseen=taken,
        name=name,
        pairs=pairs or InRanks(),
        kept=kept,
        more=tuple(others[1:]),
    )


def _told(fit: Fit) -> dict[str, Tensor]:
    return {name: value for name, value in vars(fit).items() if name != "count"}


def _seen(
    kept: Kept, name: str, extractor: Extractor, rows: ImageRows, row_N: Tensor, label_N: Tensor
) -> Seen:
    def make() -> dict[str, Tensor]:
        feature_NF, logits_NK = extractor(rows[row_N])
        return {"feature_NF": feature_NF, "logits_NK": logits_NK}

    found = kept.tensors(name, make)
    return Seen.of(found["feature_NF"], found["logits_NK"], label_N, extractor.name)


def _disjoint(
    other_M: Tensor, label_M: Tensor | None, wanted_N: Tensor, unseen: int
) -> list[Tensor]:
    """row_B of each draw: the first of whatever there is, others of what nothing learnt from only.

    They have the classes of wanted_N where classes are known.
    """
    left_M, parts = torch.arange(len(other_M)), list[Tensor]()
    while len(parts) < DRAWS:
        row_B = (
            left_M[: len(wanted_N)] if label_M is None else left_M[_like(label_M[left_M], wanted_N)]
        )
        same = label_M is None or torch.equal(label_M[row_B].sort().values, wanted_N.sort().values)
        whole = len(row_B) == len(wanted_N) and bool((other_M[row_B] < unseen).all()) and same
        if parts and not whole:
            break
        parts.append(row_B)
        gone_M = torch.zeros(len(other_M), dtype=torch.bool)
        gone_M[row_B] = True
        left_M = left_M[~gone_M[left_M]]
    return parts


def _like(label_M: Tensor, wanted_N: Tensor) -> Tensor:
    """kept_B: the first of each class, as many as are wanted; others where a class has too few."""
    kept_M = torch.zeros(len(label_M), dtype=torch.bool)
    for label, count in enumerate(torch.bincount(wanted_N).tolist()):
        kept_M[(label_M == label).nonzero()[:count, 0]] = True
    short = len(wanted_N) - int(kept_M.sum())
    kept_M[(~kept_M).nonzero()[: max(short, 0), 0]] = True
    return kept_M.nonzero()[:, 0]


def _drawn(total: int, count: int | None, seed: int, purpose: str) -> Tensor:
    return torch.randperm(total, generator=stream(seed, purpose))[:count]


def _enough(samples: int, neighbours: int) -> None:
    if samples <= neighbours:
        raise ConfigError(
            f"evaluation.neighbours is {neighbours}, which needs more than {samples} real images",
            where="evaluation.neighbours",
            hint="hold out more images (data.validation_fraction for what is read in training, "
            "data.test_fraction for the evaluation), or ask for fewer neighbours",
        )
