"""How good a generator is, as numbers that are the same on any number of ranks.

N samples, H W pixels, C channels, K classes, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from ganlib.determinism import Replicas
from ganlib.evaluation.extractor import Extractor, Seen
from ganlib.evaluation.reference import Reference
from ganlib.evaluation.sampling import (
    Purpose,
    balanced_labels,
    blind,
    generate,
    sample_seeds,
)
from ganlib.metrics import (
    PrdcSums,
    agreement,
    class_shares,
    distance,
    entropy,
    least_of,
    mean_of,
    present,
)

Draw = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(seed_N, label_N) -> feature_NF, logits_NK of the images the generator gives for them."""


@dataclass(frozen=True)
class Scores(Mapping[str, float]):
    """A mapping from metric to value; `share_K` is beside it.

    relative_coverage is coverage over that of real images at the same count; the intra-class ones
    are coverage of each class by what was asked to be of it (what was judged to be of it, from a
    generator that does not look at classes): their mean and least; class_entropy is in nats;
    classes_present counts those with `present_share`, or half of what real images have of them.
    All that is about classes is NaN, and share_K empty, where nobody judged them.
    """

    scaled_distance: float
    frechet_distance: float
    coverage: float
    relative_coverage: float
    density: float
    precision: float
    recall: float
    intra_class_coverage: float
    intra_class_coverage_min: float
    label_agreement: float
    class_entropy: float
    classes_present: float
    share_K: tuple[float, ...]

    def __getitem__(self, metric: str) -> float:
        if metric not in _METRICS:
            raise KeyError(metric)
        return float(getattr(self, metric))

    def __iter__(self) -> Iterator[str]:
        return iter(_METRICS)

    def __len__(self) -> int:
        return len(_METRICS)


_METRICS = tuple(field.name for field in fields(Scores) if field.name != "share_K")
_ABOUT_CLASSES = (
    "intra_class_coverage",
    "intra_class_coverage_min",
    "label_agreement",
    "class_entropy",
    "classes_present",
)


def score(
    generator: nn.Module,
    reference: Reference,
    extractor: Extractor,
    *,
    seed: int,
    neighbours: int,
    present_share: float,
    replicas: Replicas | None = None,
    purpose: Purpose = "evaluation",
) -> Scores:
    """As many samples as the reference has, in its class shares, from the noise of `sample_seeds`.

    Each rank samples its part; features are gathered, so every rank gets the same value. Raises
    ConfigError if the reference is too small for `neighbours`, ValueError if it was built with
    another extractor.
    """
    ranks = replicas or Replicas()
    taken = _taken(generator, reference, extractor, seed, neighbours, ranks, purpose=purpose)
    covered_K = covered(taken, reference, neighbours, ranks)
    return scores_of(taken, reference, covered_K, neighbours, present_share)


@dataclass(frozen=True, eq=False)
class SampleSet:
    """What the extractor sees of one sample set, and what the neighbours tell of it.

    of_class_N is the class each sample counts for: the one asked for, or the judged one if the
    generator does not look at it.
    """

    seed: int
    fake: Seen
    of_class_N: Tensor
    sums: PrdcSums


def sample_sets(
    generator: nn.Module,
    reference: Reference,
    extractor: Extractor,
    *,
    seeds: Sequence[int],
    neighbours: int,
    replicas: Replicas | None = None,
    draw: Draw | None = None,
) -> list[SampleSet]:
    """One for each seed, as `score` takes one. No two have noise in common.

    Whoever is asked to `draw` gives all of a set, on every rank.
    """
    replicas = replicas or Replicas()
    return [
        _taken(generator, reference, extractor, seed, neighbours, replicas, draw) for seed in seeds
    ]


def _taken(
    generator: nn.Module,
    reference: Reference,
    extractor: Extractor,
    seed: int,
    neighbours: int,
    replicas: Replicas,
    draw: Draw | None = None,
    purpose: Purpose = "evaluation",
) -> SampleSet:
    if reference.extractor != extractor.name:
        raise ValueError(f"a reference of {reference.extractor} given to {extractor.name}")
    asked_N = balanced_labels(reference.samples, reference.shares())
    draw = draw or _in_ranks(generator, extractor, replicas)
    feature_NF, logits_NK = draw(sample_seeds(seed, torch.arange(len(asked_N)), purpose), asked_N)
    place = reference.real.feature_NF.device
    fake = Seen.of(feature_NF.to(place), logits_NK, asked_N, extractor.name)
    heedless = reference.judging and blind(generator, reference.classes)
    return SampleSet(
        seed,
        fake,
        fake.judged() if heedless else asked_N,
        reference.compare(fake.feature_NF, neighbours, replicas),
    )


def _in_ranks(generator: nn.Module, extractor: Extractor, replicas: Replicas) -> Draw:
    """Each rank its share, and all get everything."""

    def draw(seed_N: Tensor, label_N: Tensor) -> tuple[Tensor, Tensor]:
        # Rows wrap around to whole shares, since all ranks gather equally long slices.
        padded = -(-len(label_N) // replicas.world) * replicas.world
        row_N = replicas.slice(torch.arange(padded) % len(label_N))
        feature_NF, logits_NK = extractor(generate(generator, seed_N[row_N], label_N[row_N]))
        return (
            replicas.gather(feature_NF)[: len(label_N)],
            replicas.gather(logits_NK)[: len(label_N)],
        )

    return draw


def covered(
    taken: SampleSet, reference: Reference, neighbours: int, replicas: Replicas | None = None
) -> Tensor | None:
    """covered_K; none of images whose classes nobody judges."""
    if not reference.judging:
        return None
    return reference.class_coverage(taken.fake.feature_NF, taken.of_class_N, neighbours, replicas)


def scores_of(
    taken: SampleSet,
    reference: Reference,
    covered_K: Tensor | None,
    neighbours: int,
    present_share: float,
) -> Scores:
    fake = taken.fake
    found, floor = taken.sums.finish(neighbours), reference.floor(neighbours)
    apart = distance(reference.fit, reference.pairs.fit(fake.feature_NF))
    told = {} if covered_K is None else _of_classes(taken, reference, covered_K, present_share)
    return Scores(
        scaled_distance=apart / reference.trace if reference.trace else math.inf,
        frechet_distance=apart,
        coverage=found.coverage,
        relative_coverage=found.coverage / floor.coverage if floor.coverage else math.nan,
        density=found.density,
        precision=found.precision,
        recall=found.recall,
        share_K=tuple(class_shares(fake.judged(), reference.classes).tolist()) if told else (),
        **{metric: told.get(metric, math.nan) for metric in _ABOUT_CLASSES},
    )


def _of_classes(
    taken: SampleSet, reference: Reference, covered_K: Tensor, present_share: float
) -> dict[str, float]:
    judged_N = taken.fake.judged()
    share_K = class_shares(judged_N, reference.classes)
    return {
        "intra_class_coverage": mean_of(covered_K),
        "intra_class_coverage_min": least_of(covered_K),
        "label_agreement": agreement(taken.fake.label_N, judged_N),
        "class_entropy": entropy(share_K),
        "classes_present": float(present(share_K, reference.shares(), present_share)),
    }
