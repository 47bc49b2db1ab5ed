"""The real side of an evaluation, and what other real images score against it.

N samples, H W pixels, C channels, K classes, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ganlib.data import ImageRows
from ganlib.determinism import stream
from ganlib.errors import ConfigError
from ganlib.evaluation.extractor import Extractor
from ganlib.metrics import Prdc, class_shares, prdc, scaled_distance, squared_radii


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
    """Held-out images in an extractor's features, with their true and their judged classes."""

    feature_NF: Tensor
    label_N: Tensor
    judged_N: Tensor
    other_NF: Tensor | None
    classes: int
    extractor: str
    # What is computed once, by number of neighbours.
    _squared_radii: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _floors: dict[int, Floor] = field(default_factory=dict, repr=False)

    @property
    def samples(self) -> int:
        return len(self.label_N)

    def shares(self) -> Tensor:
        """share_K of the true classes, which generated samples are to follow."""
        return class_shares(self.label_N, self.classes)

    @cached_property
    def trace(self) -> float:
        """Of the features' covariance: what a distance is scaled by."""
        return float(self.feature_NF.var(0).sum())

    def squared_radii(self, neighbours: int) -> Tensor:
        """radius_N. Raises ConfigError if there are too few images for `neighbours`."""
        if neighbours not in self._squared_radii:
            _enough(self.samples, neighbours)
            self._squared_radii[neighbours] = squared_radii(self.feature_NF, neighbours)
        return self._squared_radii[neighbours]

    def floor(self, neighbours: int) -> Floor:
        """The other real images against these; without any, one half of these against the other.

        Raises ConfigError if there are too few images for `neighbours`.
        """
        if neighbours not in self._floors:
            self._floors[neighbours] = self._floor(neighbours)
        return self._floors[neighbours]

    def _floor(self, neighbours: int) -> Floor:
        if self.other_NF is None:
            half = self.samples // 2
            real_NF, other_NF = self.feature_NF[:half], self.feature_NF[half : 2 * half]
        else:
            count = min(self.samples, len(self.other_NF))
            real_NF, other_NF = self.feature_NF[:count], self.other_NF[:count]
        _enough(len(real_NF), neighbours)
        whole = len(real_NF) == self.samples
        found = prdc(
            real_NF,
            other_NF,
            neighbours,
            real_squared_radius_N=self.squared_radii(neighbours) if whole else None,
        )
        return Floor(
            scaled_distance=scaled_distance(real_NF, other_NF), samples=len(real_NF), **vars(found)
        )

    def split_half(self, seed: int) -> float:
        """Scaled distance between two random halves: at half the count, so it errs upwards."""
        row_N = _drawn(self.samples, None, seed, "halves").to(self.feature_NF.device)
        half = self.samples // 2
        return scaled_distance(
            self.feature_NF[row_N[:half]], self.feature_NF[row_N[half : 2 * half]]
        )

    def compare(self, fake_NF: Tensor, neighbours: int) -> Prdc:
        """Generated features, as many as there are real ones, against these."""
        radius_N = self.squared_radii(neighbours)
        return prdc(self.feature_NF, fake_NF, neighbours, real_squared_radius_N=radius_N)


def build(
    image_NHWC: Tensor,
    label_N: Tensor,
    extractor: Extractor,
    samples: int | None,
    seed: int,
    *,
    other_NHWC: ImageRows | None = None,
) -> Reference:
    """`samples` of the held-out images at random, or all, in an order drawn from `seed`.

    `other_NHWC` are the images the generator learns from: equally many of them, at random, are
    what real-against-real compares with. Without them it is two halves of the held-out images.
    """
    row_N = _drawn(len(image_NHWC), samples, seed, "reference")
    feature_NF, logits_NK = extractor(image_NHWC[row_N])
    other_NF = None
    if other_NHWC is not None:
        other_N = _drawn(len(other_NHWC), len(row_N), seed, "other")
        other_NF = extractor(other_NHWC[other_N])[0].double()
    return Reference(
        feature_NF=feature_NF.double(),
        label_N=label_N[row_N].cpu(),
        judged_N=logits_NK.argmax(1).cpu(),
        other_NF=other_NF,
        classes=logits_NK.shape[1],
        extractor=extractor.name,
    )


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
