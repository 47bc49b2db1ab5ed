"""What networks beside the judge say of the same generator: rows of the same table.

They know none of the classes, so nothing that is about classes is among them.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from ganlib.config import EvaluationConfig
from ganlib.data import Images
from ganlib.determinism import Replicas
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.inception import InceptionExtractor
from ganlib.evaluation.kept import Kept
from ganlib.evaluation.others import Others
from ganlib.evaluation.pairs import ByWorkers
from ganlib.evaluation.reference import build
from ganlib.evaluation.repeats import tabulate
from ganlib.evaluation.score import sample_sets
from ganlib.evaluation.table import EvaluationTable


def opinion(
    generator: nn.Module,
    extractor: Extractor,
    held: Images,
    others: Others,
    config: EvaluationConfig,
    *,
    classes: int,
    split: str,
    replicas: Replicas | None = None,
    pairs: ByWorkers | None = None,
    kept: Kept | None = None,
) -> EvaluationTable:
    """The table of this generator in the features of `extractor`, before the images of `split`.

    `pairs` are workers that draw with this generator and look with this extractor, `kept` is
    for the real images and this extractor.
    The same noise and the same held-out images as the judge's. Raises ConfigError if they are too
    few for the neighbours.
    """
    reference = build(
        held.image_NHWC,
        held.label_N,
        extractor,
        config.samples,
        config.seed,
        classes=classes,
        judging=False,
        other_NHWC=others,
        other_label_N=others.labels(),
        unseen=len(others.unseen),
        pairs=pairs,
        kept=kept,
    )
    sets = sample_sets(
        generator,
        reference,
        extractor,
        seeds=[config.seed + turn for turn in range(config.repeats)],
        neighbours=config.neighbours,
        replicas=replicas,
        draw=pairs.draw if pairs else None,
    )
    found = tabulate(
        reference, sets, neighbours=config.neighbours, present_share=config.present_share
    )
    return named(found, extractor.name, split)


def named(found: EvaluationTable, extractor: str, split: str) -> EvaluationTable:
    """`frechet_distance` by the name that only the inception network gives it: fid_10k_test.

    It says how many there are of each and which images are the real ones, without which no two
    such distances can be compared. The table of another `extractor` is left as it is.
    """
    if extractor != InceptionExtractor.name:
        return found
    count = found["frechet_distance"].count
    name = f"fid_{count // 1000}k_{split}" if count % 1000 == 0 else f"fid_{count}_{split}"

    def told(metric: str) -> str:
        return name if metric == "frechet_distance" else metric

    return replace(
        found,
        rows=tuple(replace(row, metric=told(row.metric)) for row in found.rows),
        spread={told(metric): value for metric, value in found.spread.items()},
    )
