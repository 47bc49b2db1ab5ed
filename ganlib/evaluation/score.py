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
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.reference import Reference
from ganlib.evaluation.sampling import balanced_labels, generate
from ganlib.evaluation.table import EvaluationTable, Row
from ganlib.metrics import agreement, class_shares, distance, entropy, present


@dataclass(frozen=True)
class Scores(Mapping[str, float]):
    """A mapping from metric to value; `share_K` is beside it.

    relative_coverage is coverage over that of real images at the same count; class_entropy is in
    nats; classes_present counts what `present_share` says.
    """

    scaled_distance: float
    frechet_distance: float
    coverage: float
    relative_coverage: float
    density: float
    precision: float
    recall: float
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
    if reference.extractor != extractor.name:
        raise ValueError(f"a reference of {reference.extractor} given to {extractor.name}")
    asked_N = balanced_labels(reference.samples, reference.shares())
    fake_NF, judged_N = _sampled(generator, asked_N, extractor, seed, replicas or Replicas())
    found, floor = reference.compare(fake_NF, neighbours), reference.floor(neighbours)
    apart = distance(reference.feature_NF, fake_NF)
    share_K = class_shares(judged_N, reference.classes)
    return Scores(
        scaled_distance=apart / reference.trace if reference.trace else math.inf,
        frechet_distance=apart,
        coverage=found.coverage,
        relative_coverage=found.coverage / floor.coverage if floor.coverage else math.nan,
        density=found.density,
        precision=found.precision,
        recall=found.recall,
        label_agreement=agreement(asked_N, judged_N),
        class_entropy=entropy(share_K),
        classes_present=float(present(share_K, present_share)),
        share_K=tuple(share_K.tolist()),
    )


def repeated(
    generator: nn.Module,
    reference: Reference,
    extractor: Extractor,
    *,
    seeds: Sequence[int],
    neighbours: int,
    present_share: float,
    replicas: Replicas | None = None,
) -> EvaluationTable:
    """`score` for each seed: the mean, the spread, and the floor of each metric.

    split_half_distance is real against real as well: the scaled distance of two random halves.
    """
    all_scores = [
        score(
            generator,
            reference,
            extractor,
            seed=seed,
            neighbours=neighbours,
            present_share=present_share,
            replicas=replicas,
        )
        for seed in seeds
    ]
    floors = _floors(reference, neighbours, present_share)
    rows = [
        _row(metric, [scores[metric] for scores in all_scores], reference, floors[metric])
        for metric in _METRICS
    ]
    halves = [reference.split_half(seed) for seed in seeds]
    rows.append(_row("split_half_distance", halves, reference, math.nan))
    shares = zip(*(scores.share_K for scores in all_scores), strict=True)
    return EvaluationTable(
        rows=tuple(rows),
        share_K=tuple(fmean(share) for share in shares),
        real_share_K=tuple(reference.shares().tolist()),
    )


def _row(metric: str, values: Sequence[float], reference: Reference, floor: float) -> Row:
    return Row(
        metric=metric,
        value=fmean(values),
        spread=stdev(values) if len(values) > 1 else 0.0,
        floor=floor,
        samples=reference.samples // 2 if metric == "split_half_distance" else reference.samples,
        extractor=reference.extractor,
    )


def _sampled(
    generator: nn.Module, asked_N: Tensor, extractor: Extractor, seed: int, replicas: Replicas
) -> tuple[Tensor, Tensor]:
    """-> fake_NF float64, judged_N on the CPU."""
    # Rows wrap around to whole shares, since all ranks gather equally long slices.
    padded = -(-len(asked_N) // replicas.world) * replicas.world
    row_N = replicas.slice(torch.arange(padded) % len(asked_N))
    first = sub_seed(seed, "evaluation") % 2**31
    image_NHWC = generate(generator, first + row_N, asked_N[row_N])
    feature_NF, logits_NK = extractor(image_NHWC)
    fake_NF = replicas.gather(feature_NF.double())[: len(asked_N)]
    judged_N = replicas.gather(logits_NK.argmax(1))[: len(asked_N)].cpu()
    return fake_NF, judged_N


def _floors(reference: Reference, neighbours: int, present_share: float) -> dict[str, float]:
    floor = reference.floor(neighbours)
    judged_K = class_shares(reference.judged_N, reference.classes)
    return {
        "scaled_distance": floor.scaled_distance,
        "frechet_distance": floor.scaled_distance * reference.trace,
        "coverage": floor.coverage,
        "relative_coverage": 1.0,
        "density": floor.density,
        "precision": floor.precision,
        "recall": floor.recall,
        "label_agreement": agreement(reference.label_N, reference.judged_N),
        "class_entropy": entropy(judged_K),
        "classes_present": float(present(judged_K, present_share)),
    }
