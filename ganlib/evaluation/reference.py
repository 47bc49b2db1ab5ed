"""The real side of an evaluation, and what other real images score against it.

N samples, H W pixels, C channels, K classes, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ganlib.data import ImageRows
from ganlib.determinism import Replicas, stream
from ganlib.errors import ConfigError
from ganlib.evaluation.extractor import Extractor, Seen
from ganlib.metrics import PrdcSums, class_shares, prdc, scaled_distance, squared_radii


@dataclass(frozen=True)
class Floor:
    """Real against real: what a perfect generator scores on average, at `samples` each."""

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
    of these images' own classes.
    """

    real: Seen
    other: Seen | None
    row_N: Tensor
    classes: int
    extractor: str
    judging: bool = True
    # What is computed once, by number of neighbours.
    _squared_radii: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _floors: dict[int, Floor] = field(default_factory=dict, repr=False)

    @property
    def samples(self) -> int:
        return len(self.real)

    def shares(self) -> Tensor:
        """share_K of the true classes, which generated samples are to follow."""
        return class_shares(self.real.label_N, self.classes)

    @cached_property
    def trace(self) -> float:
        """Of the features' covariance: what a distance is scaled by."""
        return float(self.real.feature_NF.var(0).sum())

    def squared_radii(self, neighbours: int, replicas: Replicas | None = None) -> Tensor:
        """radius_N. Raises ConfigError if there are too few images for `neighbours`."""
        if neighbours not in self._squared_radii:
            _enough(self.samples, neighbours)
            self._squared_radii[neighbours] = _radii(self.real.feature_NF, neighbours, replicas)
        return self._squared_radii[neighbours]

    def floor(self, neighbours: int) -> Floor:
        """The other real images against these; without any, one half of these against the other.

        Raises ConfigError if there are too few images for `neighbours`.
        """
        if neighbours not in self._floors:
            self._floors[neighbours] = self._floor(neighbours)
        return self._floors[neighbours]

    def pair(self) -> tuple[Seen, Seen]:
        """The real against the other real images, equally many; or their own two halves."""
        if self.other is None:
            half = self.samples // 2
            return self.real[:half], self.real[half : 2 * half]
        count = min(self.samples, len(self.other))
        return (self.real if count == self.samples else self.real[:count]), self.other[:count]

    def _floor(self, neighbours: int) -> Floor:
        real, other = self.pair()
        _enough(len(real), neighbours)
        found = prdc(
            real.feature_NF,
            other.feature_NF,
            neighbours,
            real_squared_radius_N=self.squared_radii(neighbours) if real is self.real else None,
        )
        return Floor(
            scaled_distance=scaled_distance(real.feature_NF, other.feature_NF),
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
        replicas = replicas or Replicas()
        sums = PrdcSums.of(
            self.real.feature_NF,
            fake_NF,
            self.squared_radii(neighbours, replicas),
            _radii(fake_NF, neighbours, replicas),
            part=(replicas.rank, replicas.world),
        )
        return PrdcSums(
            replicas.sum(sums.around_M),
            replicas.sum(sums.covered_N),
            replicas.sum(sums.recalled_N),
        )


def _radii(feature_NF: Tensor, neighbours: int, replicas: Replicas | None) -> Tensor:
    replicas = replicas or Replicas()
    return replicas.sum(squared_radii(feature_NF, neighbours, part=(replicas.rank, replicas.world)))


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
) -> Reference:
    """`samples` of the held-out images at random, or all, in an order drawn from `seed`.

    `other_NHWC` are the images the generator learns from: equally many of them, at random, are
    what real-against-real compares with, of each class as many as there are held-out ones where
    `other_label_N` says the classes. Without them it is two halves of the held-out images.
    `classes` is how many there are, as many as the extractor knows if it is not given, and not
    `judging` says that they are not the extractor's.
    """
    row_N = _drawn(len(image_NHWC), samples, seed, "reference")
    real = Seen.by(extractor, image_NHWC[row_N], label_N.cpu()[row_N])
    other = None
    if other_NHWC is not None:
        other_N = _drawn(len(other_NHWC), None, seed, "other")
        known_N = torch.zeros(len(other_N), dtype=torch.int64)
        if other_label_N is not None:
            known_N = other_label_N.cpu()[other_N]
            kept_N = _like(known_N, real.label_N)
            other_N, known_N = other_N[kept_N], known_N[kept_N]
        else:
            other_N, known_N = other_N[: len(row_N)], known_N[: len(row_N)]
        other = Seen.by(extractor, other_NHWC[other_N], known_N)
    return Reference(
        real=real,
        other=other,
        row_N=row_N,
        classes=real.logits_NK.shape[1] if classes is None else classes,
        extractor=extractor.name,
        judging=judging,
    )


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
