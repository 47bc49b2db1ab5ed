"""Scores and details of several sample sets as a table: means, intervals, and the real floors.

N samples, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean

import torch
from torch import nn

from ganlib.determinism import Replicas
from ganlib.evaluation.details import by_logits, details
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.inception import InceptionExtractor
from ganlib.evaluation.ranges import ends, is_share, seen_in
from ganlib.evaluation.reference import Reference
from ganlib.evaluation.score import SampleSet, covered, sample_sets, scores_of
from ganlib.evaluation.table import EvaluationTable, Row
from ganlib.metrics import (
    agreement,
    class_shares,
    deviation,
    entropy,
    least_of,
    mean_of,
    of_mean,
    present,
    present_between,
    present_by_chance,
    support,
)


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
    """`tabulate` of the sample sets of these seeds."""
    sets = sample_sets(
        generator, reference, extractor, seeds=seeds, neighbours=neighbours, replicas=replicas
    )
    return tabulate(
        reference, sets, neighbours=neighbours, present_share=present_share, names=names
    )


def tabulate(
    reference: Reference,
    sets: Sequence[SampleSet],
    *,
    neighbours: int,
    present_share: float,
    names: Sequence[str] = (),
) -> EvaluationTable:
    """Scores and details of each sample set: the mean, its interval, and each metric's floor.

    The interval is of what the generator draws, before the same held-out images: it does not hold
    what others of them would have changed.
    split_half_distance is real against real as well: the scaled distance of two random halves.
    `support` pools the near pairs of all sets, classes_present their judged classes: its floor and
    spread are those of what chance leaves of as many real images, shared out as the judge finds
    the held-out ones. `names` are the classes', their numbers if not
    given; without a judge of them all that is about classes is left out.
    """
    names = names or tuple(map(str, range(reference.classes)))
    floors = _floors(reference, neighbours, names)
    found: dict[str, list[float]] = {}
    shares: list[tuple[float, ...]] = []
    for taken in sets:
        covered_K = covered(taken, reference, neighbours)
        scores = scores_of(taken, reference, covered_K, neighbours, present_share)
        shares.append(scores.share_K)
        more = details(
            reference.real,
            taken.fake,
            taken.of_class_N,
            names=names,
            neighbours=neighbours,
            judging=reference.judging,
            scored=reference.extractor == InceptionExtractor.name,
            covered_K=covered_K,
            pairs=reference.pairs,
            kernel=reference.kernel,
            fits=reference.class_fits if reference.judging else None,
        )
        for metric, value in {**scores, **more}.items():
            if metric in floors:
                found.setdefault(metric, []).append(value)
    found["split_half_distance"] = [reference.split_half(taken.seed) for taken in sets]
    share_K = tuple(map(fmean, zip(*shares, strict=True)))
    told, spread = _presence(reference, share_K, len(sets), present_share)
    found.pop("classes_present", None)
    count = {metric: _count(metric, reference, names, neighbours) for metric in found}
    judged = reference.real.logits_NK.shape[1]
    rows = [
        Row.of(
            metric,
            fmean(values),
            _interval(metric, values, count[metric], judged),
            floor=fmean(floors[metric]) if metric in floors else math.nan,
            floor_between=_interval(metric, floors.get(metric, []), count[metric], judged),
            count=count[metric],
            extractor=seen_in(metric, reference.extractor),
            over="sample sets",
        )
        for metric, values in found.items()
    ]
    return EvaluationTable(
        rows=(*rows, *told, _support(reference, sets)),
        share_K=share_K,
        real_share_K=tuple(reference.shares().tolist()),
        spread={
            metric: deviation(values) if len(values) > 1 else 0.0
            for metric, values in found.items()
        }
        | spread,
    )


def _presence(
    reference: Reference, share_K: tuple[float, ...], sets: int, present_share: float
) -> tuple[tuple[Row, ...], dict[str, float]]:
    """One set of few images lacks some classes by chance, of a perfect generator as well."""
    if not reference.judging:
        return (), {}
    found_K, true_K = torch.tensor(share_K, dtype=torch.float64), reference.shares()
    drawn = sets * reference.samples
    judged_K = class_shares(reference.real.judged(), reference.classes)
    floor, spread = present_by_chance(judged_K, true_K, present_share, drawn)
    row = Row.of(
        "classes_present",
        present(found_K, true_K, present_share),
        present_between(found_K, true_K, present_share, drawn),
        floor=floor,
        count=reference.samples,
        extractor=seen_in("classes_present", reference.extractor),
        over="sample sets",
    )
    return (row,), {row.metric: spread}


def _support(reference: Reference, sets: Sequence[SampleSet]) -> Row:
    _, other = reference.pair()
    radius, pairs = reference.near_radius(), reference.pairs
    near = sum(pairs.near_pairs(taken.fake.feature_NF, radius) for taken in sets)
    count = reference.samples
    value, low, high = support(len(sets) * count * (count - 1) // 2, near)
    found = reference.kept.numbers(
        f"{reference.name}-near", lambda: {"near": pairs.near_pairs(other.feature_NF, radius)}
    )
    floor, _, _ = support(len(other) * (len(other) - 1) // 2, int(found["near"]))
    return Row.of(
        "support",
        value,
        (low, high),
        floor=floor,
        count=count,
        extractor=reference.extractor,
        over="near pairs",
    )


def _interval(
    metric: str, values: Sequence[float], count: int, classes: int
) -> tuple[float, float]:
    least, most = ends(metric, classes)
    cases = len(values) * count if is_share(metric) else 0
    return of_mean(values, least, most, cases=cases)


def _count(metric: str, reference: Reference, names: Sequence[str], neighbours: int) -> int:
    """Of samples behind a metric: a class's own for those of one class.

    For the least of all classes it is the fewest there are of a class that has a value: which
    class is the least may change from set to set.
    """
    if metric == "intra_class_coverage_min":
        count_K = torch.bincount(reference.real.label_N, minlength=reference.classes)
        known_K = count_K[count_K > neighbours]
        return int(known_K.min()) if len(known_K) else 0
    head, _, name = metric.partition("/")
    if head.startswith("intra_class") and name:
        return int((reference.real.label_N == names.index(name)).sum())
    return reference.samples // 2 if metric == "split_half_distance" else reference.samples


def _floors(reference: Reference, neighbours: int, names: Sequence[str]) -> dict[str, list[float]]:
    """What each draw of other real images scores; one value of what the held-out ones score."""
    found: dict[str, list[float]] = {}
    for draw, (real, other) in enumerate(reference.draws()):
        told = reference.kept.numbers(
            f"{reference.of_draw('details', draw)}-{neighbours}",
            partial(
                details,
                real,
                other,
                other.label_N,
                names=names,
                neighbours=neighbours,
                judging=reference.judging,
                scored=reference.extractor == InceptionExtractor.name,
                pairs=reference.pairs,
                kernel=reference.kernel if real is reference.real else None,
                fits=reference.class_fits if real is reference.real and reference.judging else None,
            ),
        )
        if reference.judging:
            covered_K = torch.tensor(
                [told[f"intra_class_coverage/{name}"] for name in names], dtype=torch.float64
            )
            told["intra_class_coverage"] = mean_of(covered_K)
            told["intra_class_coverage_min"] = least_of(covered_K)
        floor = reference.floors(neighbours)[draw]
        told |= {
            "scaled_distance": floor.scaled_distance,
            "frechet_distance": floor.scaled_distance * reference.trace,
            "coverage": floor.coverage,
            "density": floor.density,
            "precision": floor.precision,
            "recall": floor.recall,
        }
        for metric, value in told.items():
            found.setdefault(metric, []).append(value)
    covered = fmean(found["coverage"])
    found["relative_coverage"] = [one / covered if covered else 1.0 for one in found["coverage"]]
    return found | {metric: [value] for metric, value in _own(reference, names).items()}


def _own(reference: Reference, names: Sequence[str]) -> dict[str, float]:
    """What the held-out images score themselves, where no real ones are needed beside."""
    own = reference.real
    told = by_logits(
        own,
        own.label_N,
        names=names,
        judging=reference.judging,
        scored=reference.extractor == InceptionExtractor.name,
    )
    if not reference.judging:
        return told
    judged_N = own.judged()
    return told | {
        "label_agreement": agreement(own.label_N, judged_N),
        "class_entropy": entropy(class_shares(judged_N, reference.classes)),
    }
