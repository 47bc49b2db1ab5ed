"""How good a generator is, as numbers that are the same on any number of ranks.

N samples, H W pixels, C channels, K classes, F features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean, stdev

import torch
from torch import Tensor, nn

from ganlib.determinism import Replicas, sub_seed
from ganlib.evaluation.details import details
from ganlib.evaluation.extractor import Extractor, Seen
from ganlib.evaluation.reference import Reference
from ganlib.evaluation.sampling import balanced_labels, blind, generate
from ganlib.evaluation.table import EvaluationTable, Row
from ganlib.metrics import (
    agreement,
    class_coverage,
    class_shares,
    distance,
    entropy,
    least_of,
    mean_of,
    of_mean,
    present,
)


@dataclass(frozen=True)
class Scores(Mapping[str, float]):
    """A mapping from metric to value; `share_K` is beside it.

    relative_coverage is coverage over that of real images at the same count; the intra-class ones
    are coverage of each class by what was asked to be of it (what was judged to be of it, from a
    generator that does not look at classes): their mean and least; class_entropy is in nats;
    classes_present counts what `present_share` says.
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


def score(
    generator: nn.Module,
    reference: Reference,
    extractor: Extractor,
    *,
    seed: int,
    neighbours: int,
    present_share: float,
    replicas: Replicas | None = None,
) -> Scores:
    """As many samples as the reference has, in its class shares, from noise that `seed` names.

    Each rank samples its part; features are gathered, so every rank gets the same value. Raises
    ConfigError if the reference is too small for `neighbours`, ValueError if it was built with
    another extractor.
    """
    taken = _taken(generator, reference, extractor, seed, replicas or Replicas())
    return _scores(taken, reference, neighbours, present_share)


def repeated(
    generator: nn.Module,
    reference: Reference,
    extractor: Extractor,
    *,
    seeds: Sequence[int],
    neighbours: int,
    present_share: float,
    names: Sequence[str] = (),
    replicas: Replicas | None = None,
) -> EvaluationTable:
    """`score` and `details` for each seed: the mean, its interval, and the floor of each metric.

    The samples of no two seeds have noise in common, so the interval is of what the generator
    draws, before the same held-out images. split_half_distance is real against real as well: the
    scaled distance of two random halves. `names` are the classes', their numbers if not given.
    """
    names = names or tuple(map(str, range(reference.classes)))
    floors = _floors(reference, neighbours, present_share, names)
    found: dict[str, list[float]] = {metric: [] for metric in floors}
    shares = []
    for seed in seeds:
        taken = _taken(generator, reference, extractor, seed, replicas or Replicas())
        scores = _scores(taken, reference, neighbours, present_share)
        more = details(
            reference.real, taken.fake, taken.of_class_N, names=names, neighbours=neighbours
        )
        shares.append(scores.share_K)
        for metric, value in {**scores, **more}.items():
            found[metric].append(value)
    found["split_half_distance"] = [reference.split_half(seed) for seed in seeds]
    rows = [
        Row.of(
            metric,
            fmean(values),
            of_mean(values),
            floor=floors.get(metric, math.nan),
            count=_count(metric, reference, names),
            extractor=reference.extractor,
        )
        for metric, values in found.items()
    ]
    return EvaluationTable(
        rows=tuple(rows),
        share_K=tuple(fmean(share) for share in zip(*shares, strict=True)),
        real_share_K=tuple(reference.shares().tolist()),
        spread={
            metric: stdev(values) if len(values) > 1 else 0.0 for metric, values in found.items()
        },
    )


def _count(metric: str, reference: Reference, names: Sequence[str]) -> int:
    """Of samples behind a metric: a class's own for those of one class."""
    head, _, name = metric.partition("/")
    if head.startswith("intra_class") and name:
        return int((reference.real.label_N == names.index(name)).sum())
    return reference.samples // 2 if metric == "split_half_distance" else reference.samples


@dataclass(frozen=True, eq=False)
class _Taken:
    """A sample set: what the extractor sees, and the class each sample counts for."""

    fake: Seen
    of_class_N: Tensor


def _taken(
    generator: nn.Module, reference: Reference, extractor: Extractor, seed: int, replicas: Replicas
) -> _Taken:
    if reference.extractor != extractor.name:
        raise ValueError(f"a reference of {reference.extractor} given to {extractor.name}")
    asked_N = balanced_labels(reference.samples, reference.shares())
    # Rows wrap around to whole shares, since all ranks gather equally long slices.
    padded = -(-len(asked_N) // replicas.world) * replicas.world
    row_N = replicas.slice(torch.arange(padded) % len(asked_N))
    first = sub_seed(seed, "evaluation") % 2**31
    feature_NF, logits_NK = extractor(generate(generator, first + row_N, asked_N[row_N]))
    fake = Seen(
        replicas.gather(feature_NF.double())[: len(asked_N)],
        replicas.gather(logits_NK.double())[: len(asked_N)].cpu(),
        asked_N,
    )
    return _Taken(fake, fake.judged() if blind(generator, reference.classes) else asked_N)


def _scores(taken: _Taken, reference: Reference, neighbours: int, present_share: float) -> Scores:
    fake = taken.fake
    found, floor = reference.compare(fake.feature_NF, neighbours), reference.floor(neighbours)
    apart = distance(reference.real.feature_NF, fake.feature_NF)
    share_K = class_shares(fake.judged(), reference.classes)
    covered_K = class_coverage(
        reference.real.feature_NF,
        reference.real.label_N,
        fake.feature_NF,
        taken.of_class_N,
        classes=reference.classes,
        k=neighbours,
    )
    return Scores(
        scaled_distance=apart / reference.trace if reference.trace else math.inf,
        frechet_distance=apart,
        coverage=found.coverage,
        relative_coverage=found.coverage / floor.coverage if floor.coverage else math.nan,
        density=found.density,
        precision=found.precision,
        recall=found.recall,
        intra_class_coverage=mean_of(covered_K),
        intra_class_coverage_min=least_of(covered_K),
        label_agreement=agreement(fake.label_N, fake.judged()),
        class_entropy=entropy(share_K),
        classes_present=float(present(share_K, present_share)),
        share_K=tuple(share_K.tolist()),
    )


def _floors(
    reference: Reference, neighbours: int, present_share: float, names: Sequence[str]
) -> dict[str, float]:
    """What other real images score, and for labels what these ones do."""
    floor = reference.floor(neighbours)
    real, other = reference.pair()
    judged_K = class_shares(reference.real.judged(), reference.classes)
    more = details(real, other, other.label_N, names=names, neighbours=neighbours)
    covered_K = torch.tensor([more[f"intra_class_coverage/{name}"] for name in names])
    return {
        "scaled_distance": floor.scaled_distance,
        "frechet_distance": floor.scaled_distance * reference.trace,
        "coverage": floor.coverage,
        "relative_coverage": 1.0,
        "density": floor.density,
        "precision": floor.precision,
        "recall": floor.recall,
        "intra_class_coverage": mean_of(covered_K),
        "intra_class_coverage_min": least_of(covered_K),
        "label_agreement": agreement(reference.real.label_N, reference.real.judged()),
        "class_entropy": entropy(judged_K),
        "classes_present": float(present(judged_K, present_share)),
        **more,
    }
