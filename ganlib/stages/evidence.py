"""What people look at in an evaluation: pictures, and what the training images tell of copies.

N images, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganlib.stages.records import Work

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganlib.data import Dataset, Images, StoredImages
    from ganlib.evaluation import EvaluationTable, Extractor, Reference, Row, SampleSet

COLUMNS = 10
NEAREST = 18


def memory_rows(
    reference: Reference,
    first: SampleSet,
    train_NF: Tensor,
    validation: Images,
    extractor: Extractor,
) -> tuple[tuple[Row, ...], Tensor]:
    """Memorisation by one sample set, and row_B of its samples nearest to training images."""
    from ganlib.evaluation import copy_distance, memorisation, memorisation_rows
    from ganlib.evaluation.memory import some

    real_NF, query_N = reference.real.feature_NF, some(len(first.fake))
    copy = copy_distance(real_NF[some(len(real_NF)).to(real_NF.device)], train_NF)
    query_NF = first.fake.feature_NF[query_N.to(real_NF.device)]
    found, floor = memorisation(query_NF, train_NF, real_NF, copy), None
    if len(validation):
        known = reference.kept.tensors(
            f"validation-{len(validation)}",
            lambda: {"feature_NF": extractor(validation.image_NHWC[some(len(validation))])[0]},
        )
        floor = memorisation(known["feature_NF"], train_NF, real_NF, copy)
    nearest_B = query_N[found.distance_N.argsort(stable=True)[:NEAREST].cpu()]
    return memorisation_rows(found, floor, reference.extractor), nearest_B


def pictures_of(
    work: Work,
    generator: nn.Module,
    extractor: Extractor,
    data: Dataset,
    train: Images | StoredImages,
    train_NF: Tensor,
    found: EvaluationTable,
    clock: int,
) -> dict[str, str]:
    """A grid by class, real beside generated, the classes' shares, and the nearest neighbours."""
    import torch

    from ganlib.evaluation import among, generate, grid_labels, grid_names, pictures

    scale = max(1, round(48 / data.size))
    label_N = grid_labels(len(data.classes), COLUMNS)
    seed_N = torch.arange(len(label_N)) + work.context.config.evaluation.seed
    image_NHWC = generate(generator, seed_N, label_N)
    names = grid_names(data.classes, label_N, COLUMNS)
    step = max(1, len(image_NHWC) // NEAREST)
    some_NHWC = image_NHWC[::step][:NEAREST]
    near = among(extractor(some_NHWC)[0], train_NF)
    made = {
        "grid": pictures.grid(image_NHWC, COLUMNS, scale, names=names),
        "real_beside_generated": _beside(data, image_NHWC, label_N, names, scale),
        "nearest": near.picture(some_NHWC, train.image_NHWC, scale=scale),
    }
    if found.share_K:
        made["classes"] = pictures.class_bars(data.classes, found.real_share_K, found.share_K)
    return {name: work.picture(clock, name, png) for name, png in made.items()}


def missing(
    work: Work,
    reference: Reference,
    sets: list[SampleSet],
    data: Dataset,
    neighbours: int,
    clock: int,
) -> str:
    """The held-out images no sample set covers: a grid by class beside the sample grid."""
    import torch

    from ganlib.evaluation import missed, missing_picture

    held = data.load("test")
    covered_SN = torch.stack([taken.sums.covered_N for taken in sets])
    png = missing_picture(
        held.image_NHWC[reference.row_N],
        reference.real.label_N,
        missed(covered_SN, reference.squared_radii(neighbours)).cpu(),
        data.classes,
        columns=COLUMNS,
        scale=max(1, round(48 / data.size)),
    )
    return work.picture(clock, "missing", png)


def closest(
    work: Work,
    generator: nn.Module,
    first: SampleSet,
    nearest_B: Tensor,
    train: Images | StoredImages,
    train_NF: Tensor,
    clock: int,
) -> str:
    """Of a whole sample set the ones nearest to training images, beside these: copies show here."""
    from ganlib.evaluation import among, generate, sample_seeds

    label_B = first.fake.label_N[nearest_B]
    image_NHWC = generate(generator, sample_seeds(first.seed, nearest_B), label_B)
    near = among(first.fake.feature_NF[nearest_B.to(first.fake.feature_NF.device)], train_NF)
    scale = max(1, round(48 / image_NHWC.shape[1]))
    return work.picture(clock, "closest", near.picture(image_NHWC, train.image_NHWC, scale=scale))


def _beside(
    data: Dataset, image_NHWC: Tensor, label_N: Tensor, names: Sequence[str], scale: int
) -> bytes:
    """Left half of a row real, right half generated."""
    import torch

    from ganlib.evaluation import pictures

    held, half = data.load("test"), COLUMNS // 2
    rows: list[Tensor] = []
    for start in range(0, len(label_N), COLUMNS):
        before = int((label_N[:start:COLUMNS] == label_N[start]).sum()) * half
        real_NHWC = held.image_NHWC[held.label_N == label_N[start]][before : before + half]
        blank_NHWC = torch.full((half - len(real_NHWC), *real_NHWC.shape[1:]), 255).to(torch.uint8)
        rows += [real_NHWC, blank_NHWC, image_NHWC[start : start + half]]
    return pictures.grid(torch.cat(rows), 2 * half, scale, names=names, group=half)
