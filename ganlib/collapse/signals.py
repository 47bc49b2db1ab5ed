"""How varied generated samples are beside real ones: pure functions of one sample of each.

N samples, F pixels or features, K classes, C channels, H W pixels
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ganlib.metrics import PrdcSums, class_shares, entropy, squared_radii
from ganlib.metrics.neighbours import Distances
from ganlib.metrics.support import near_radius

WIDEST = 16  # pixels: finer detail tells nothing of variety
NEIGHBOURS = 5
MOST_CLASSES = 20  # whose shares are told one by one
LEAST_OF_CLASS = 3  # samples, for the spread of a class to be told


@dataclass(frozen=True, eq=False)
class Sample:
    """Samples as they are looked at: pixels, and what a judge sees where there is one.

    label_N is the class each was asked to be, or is; logits_NK are a judge's of these classes.
    """

    pixel_NF: Tensor
    label_N: Tensor | None = None
    feature_NF: Tensor | None = None
    logits_NK: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixel_NF)

    def __getitem__(self, row_N: Tensor) -> Sample:
        parts = (self.pixel_NF, self.label_N, self.feature_NF, self.logits_NK)
        return Sample(*(None if part is None else part[row_N] for part in parts))  # type: ignore[arg-type]

    def of_class(self) -> Tensor | None:
        """of_class_N: the class that was asked for, or else the one it is judged to be."""
        if self.label_N is None and self.logits_NK is not None:
            return self.logits_NK.argmax(1)
        return self.label_N


def pixels(images: Tensor) -> Tensor:
    """pixel_NF float32 on the CPU, of images averaged down to 16 pixels where they are wider.

    uint8 is taken for NHWC and becomes 0 to 1; of floating numbers four axes are taken for NCHW and
    two for features, which stay as they are. Raises ValueError for another number of axes.
    """
    images = images.detach().cpu()
    if images.dim() not in (2, 4):
        raise ValueError(f"images have 4 axes and features 2, not {images.dim()}")
    if images.dim() == 2:
        return images.float()
    byte = images.dtype == torch.uint8
    image_NCHW = images.permute(0, 3, 1, 2).float() / 255 if byte else images.float()
    if max(image_NCHW.shape[2:]) > WIDEST:
        height, width = image_NCHW.shape[2:]
        image_NCHW = F.adaptive_avg_pool2d(image_NCHW, (min(height, WIDEST), min(width, WIDEST)))
    return image_NCHW.flatten(1)


def variance(sample_NF: Tensor) -> float:
    """The trace of the covariance."""
    return float(sample_NF.double().var(0).sum())


def effective_rank(sample_NF: Tensor) -> float:
    """exp of the entropy of the singular values' shares (Roy and Vetterli 2007, definition 1).

    Of centred samples, so that it counts directions in which they differ; 0 where they do not.
    """
    centred_NF = sample_NF.double() - sample_NF.double().mean(0)
    few = len(centred_NF) < centred_NF.shape[1]
    gram = centred_NF @ centred_NF.mT if few else centred_NF.mT @ centred_NF
    value_N = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    total = float(value_N.sum())
    if total <= 1e-9 * (1 + float(sample_NF.double().abs().max())):
        return 0.0
    return math.exp(entropy(value_N / total))


def class_spread(sample_NF: Tensor, label_N: Tensor, classes: int) -> Tensor:
    """spread_K: `variance` inside each class; NaN for a class of fewer than 3 samples."""
    spread_K = torch.full((classes,), math.nan, dtype=torch.float64)
    for label in range(classes):
        own = sample_NF[label_N == label]
        if len(own) >= LEAST_OF_CLASS:
            spread_K[label] = variance(own)
    return spread_K


@dataclass(frozen=True, eq=False)
class Side:
    """The real side of one space, pixels or features: what generated samples are held against.

    `near` is the squared distance within which one real sample in a hundred has another one.
    """

    real_NF: Tensor
    squared_radius_N: Tensor
    near: float

    @staticmethod
    def of(real_NF: Tensor) -> Side:
        return Side(real_NF, squared_radii(real_NF, NEIGHBOURS), near_radius(real_NF))

    def measure(self, sample_NF: Tensor) -> dict[str, float]:
        """Of as many samples as there are real ones here.

        `neighbour_distance` is the median over samples of the distance to the nearest other one,
        `repeated` the share of them for which it is near, `support` the birthday estimate of how
        many images there are (Arora and Zhang 2017), absent where nothing repeats.
        """
        count = len(sample_NF)
        # One matrix for all: at this size the metrics' own blocks would make it four times over.
        square_NN = Distances(sample_NF).to(sample_NF).fill_diagonal_(math.inf)
        nearest_NJ = square_NN.topk(NEIGHBOURS, dim=1, largest=False, sorted=True).values
        nearest_N, radius_N = nearest_NJ[:, 0], nearest_NJ[:, -1]
        alike = PrdcSums.of(self.real_NF, sample_NF, self.squared_radius_N, radius_N)
        shares = alike.finish(NEIGHBOURS)
        near = int((square_NN <= self.near).sum()) // 2
        return {
            "variance": variance(sample_NF),
            "neighbour_distance": float(nearest_N.sqrt().median()),
            "effective_rank": effective_rank(sample_NF),
            "repeated": float((nearest_N <= self.near).double().mean()),
            "coverage": shares.coverage,
            "recall": shares.recall,
        } | ({"support": count * (count - 1) / 2 / near} if near else {})


@dataclass(frozen=True, eq=False)
class Reference:
    """A fixed sample of real ones, and the spread and share of each class among all of them."""

    pixels: Side
    features: Side | None
    spread_K: Tensor | None
    share_K: Tensor | None
    count: int

    @staticmethod
    def of(fixed: Sample, everyone: Sample) -> Reference:
        """`fixed` are as many as will be looked at at a time."""
        label_N = everyone.of_class()
        spread_K = share_K = None
        if label_N is not None:
            classes = _classes(everyone, label_N)
            spread_K = class_spread(_space(everyone), label_N, classes)
        if everyone.logits_NK is not None:
            share_K = class_shares(everyone.logits_NK.argmax(1), everyone.logits_NK.shape[1])
        return Reference(
            pixels=Side.of(fixed.pixel_NF),
            features=None if fixed.feature_NF is None else Side.of(fixed.feature_NF),
            spread_K=spread_K,
            share_K=share_K,
            count=len(fixed),
        )

    def measure(self, sample: Sample) -> dict[str, float]:
        """Every signal of a sample by name: `pixels/...`, `features/...`, `classes/...`.

        Values as they are, before they are held against what real samples score. Class entropy is
        in nats; `least_share` is the smallest share of a class over its share among the real ones,
        `spread` and `least_spread` the mean and smallest variance inside a class over the real one,
        `share/0` and so on the share of each class, where there are at most 20.
        """
        found = _named("pixels", self.pixels.measure(sample.pixel_NF))
        if self.features is not None and sample.feature_NF is not None:
            found |= _named("features", self.features.measure(sample.feature_NF))
        return found | _named("classes", self._classes(sample))

    def _classes(self, sample: Sample) -> dict[str, float]:
        found: dict[str, float] = {}
        if self.share_K is not None and sample.logits_NK is not None:
            share_K = class_shares(sample.logits_NK.argmax(1), len(self.share_K))
            there_K = self.share_K > 0
            found["entropy"] = entropy(share_K)
            found["least_share"] = float((share_K[there_K] / self.share_K[there_K]).min())
            if len(share_K) <= MOST_CLASSES:
                found |= {f"share/{label}": share for label, share in enumerate(share_K.tolist())}
        label_N = sample.of_class()
        if self.spread_K is not None and label_N is not None:
            spread_K = class_spread(_space(sample), label_N, len(self.spread_K))
            ratio_K = spread_K / self.spread_K
            known = ratio_K[ratio_K.isfinite()]
            if len(known):
                found["spread"], found["least_spread"] = float(known.mean()), float(known.min())
        return found


def _space(sample: Sample) -> Tensor:
    """Where distances mean most: the judge's features, or else pixels."""
    return sample.pixel_NF if sample.feature_NF is None else sample.feature_NF


def _classes(sample: Sample, label_N: Tensor) -> int:
    return int(label_N.max()) + 1 if sample.logits_NK is None else sample.logits_NK.shape[1]


def _named(space: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{space}/{name}": value for name, value in values.items()}
