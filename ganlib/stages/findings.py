"""What is wrong with a prepared set, as rows of one table. N images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ganlib.config import Config

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from ganlib.data import Dataset, ImageRows
    from ganlib.data.quality.drift import Drift
    from ganlib.data.quality.views import View

KINDS = (
    "unreadable",
    "exact_duplicate",
    "near_duplicate",
    "mirrored_duplicate",
    "leakage",
    "label_conflict",
    "label_error",
    "outlier",
    "blank",
    "imbalance",
    "drift",
)
ABOUT_CLASSES = ("label_conflict", "label_error", "imbalance")
BLANK = 2.0  # grey levels of deviation
BLOCK = 512
SIGNIFICANT, TELLING = 0.01, 0.55
PER_CLASS = 4  # labels are not judged in sets with fewer images to a class


class Finding(Config):
    """One row; `score` is what the kind is sure by, and `suggestion` says what to do."""

    finding: str
    file: str = ""
    split: str = ""
    label: str = ""
    other_file: str = ""
    score: float | None = None
    suggestion: str = ""


@dataclass
class Findings:
    """All rows, and by row of the view what pictures are made of.

    Not `labelled`: nothing is looked for that is about classes.
    """

    labelled: bool = True
    rows: list[Finding] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    leaks: list[tuple[int, int]] = field(default_factory=list)
    errors: list[tuple[int, int]] = field(default_factory=list)  # row, suggested class
    outliers: list[int] = field(default_factory=list)
    accuracy: float | None = None
    features: str = ""  # that labels were judged by
    drift: Drift | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """By kind that was looked for, zeros included."""
        left_out = () if self.labelled else ABOUT_CLASSES
        found = dict.fromkeys((kind for kind in KINDS if kind not in left_out), 0)
        for row in self.rows:
            found[row.finding] += 1
        return found

    def to_frame(self) -> pd.DataFrame:
        """Columns finding, file, split, class, other_file, score, suggestion."""
        import pandas as pd

        frame = pd.DataFrame(
            [row.model_dump() for row in self.rows], columns=list(Finding.model_fields)
        )
        return frame.rename(columns={"label": "class"}).astype({"score": "float64"})


def look(
    dataset: Dataset,
    *,
    mirrored: bool,
    other: Dataset | None = None,
    against: str = "",
    see: Callable[[ImageRows], Tensor] | None = None,
    choose: bool = False,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Findings, View, View | None]:
    """All checks of `dataset`, and its drift against `other`, which is called `against`.

    `mirrored` says that an image's mirror image is of the same class. `see` gives feature_NF of
    uint8 images for labels, in place of patches learnt from the images themselves; to `choose`
    is to take whichever of the two, or both together, the labels agree with best. Outliers and
    drift are looked for in patches always, since a network that knows objects overlooks images of
    none. Raises Damaged.
    """
    import torch

    from ganlib.data.quality.features import PatchFeatures, unit
    from ganlib.data.quality.views import View

    found, view = Findings(labelled=len(dataset.classes) > 1), View.of(dataset)
    theirs = None if other is None else View.of(other)

    def timed(what: str, step: Callable[[], Any]) -> Any:
        say(what)
        begun = time.monotonic()
        value = step()
        found.seconds[what] = time.monotonic() - begun
        return value

    _unreadable(found, dataset)
    groups = timed("copies", lambda: _copies(found, view, mirrored))
    learnt = PatchFeatures.learn(view.image_NHWC, seed=seed, mirrored=mirrored)
    feature_NF = timed("features", lambda: learnt(view.image_NHWC))
    telling = {"patches": feature_NF}
    if see is not None:
        seen_NF = timed("the network's features", lambda: see(view.image_NHWC))
        mean_F, scale_F = unit(seen_NF)
        seen_NF = (seen_NF - mean_F) * scale_F
        both = {**telling, "both": torch.cat([seen_NF, feature_NF], 1)} if choose else {}
        telling = {"network": seen_NF, **both}
    timed("labels", lambda: _labels(found, view, telling, groups, seed))
    timed("outliers", lambda: _outliers(found, view, feature_NF))
    _balance(found, dataset)
    if theirs is not None:
        other_NF = timed("other features", lambda: learnt(theirs.image_NHWC))
        timed("drift", lambda: _drift(found, feature_NF, other_NF, against, seed))
    return found, view, theirs


def _unreadable(found: Findings, dataset: Dataset) -> None:
    for file, reason in dataset.skipped().itertuples(index=False):
        found.rows.append(
            Finding(finding="unreadable", file=file, suggestion=f"mend or remove it: {reason}")
        )


def _row(view: View, row: int, **fields: Any) -> Finding:
    return Finding(file=view.files[row], split=view.split(row), label=view.class_of(row), **fields)


def _copies(found: Findings, view: View, mirrored: bool) -> list[list[int]]:
    """Rows for copies, leaks and copies of several classes; gives the groups of copies.

    Where a mirror image may be of another class it is told of, and is a copy in no other respect.
    """
    import torch

    from ganlib.data.quality import copies

    links: list[tuple[int, int, str, float]] = []
    alone = torch.ones(len(view), dtype=torch.bool)
    for group in view.exact():
        alone[torch.tensor(group[1:])] = False
        links += [(group[0], row, "exact_duplicate", 1.0) for row in group[1:]]
    near = copies.find(view, alone.nonzero()[:, 0])
    for (first, row), score, turned in zip(
        near.pair_P2.tolist(), near.score_P.tolist(), near.mirrored_P.tolist(), strict=True
    ):
        kind = "mirrored_duplicate" if turned else "near_duplicate"
        links.append((first, row, kind, round(score, 4)))
    for first, row, kind, score in links:
        other = view.files[first]
        text = f"a copy of {other}: keep one of the two"
        if kind == "mirrored_duplicate" and not mirrored:
            text = f"the mirror image of {other}: one of the two is enough if sides do not matter"
        found.rows.append(
            _row(view, row, finding=kind, other_file=other, score=score, suggestion=text)
        )
        found.pairs.append((first, row))

    def groups(kept: list[tuple[int, int, str, float]]) -> list[list[int]]:
        joined = torch.tensor([link[:2] for link in kept], dtype=torch.int64)
        return copies.groups(joined.reshape(-1, 2))

    for group in groups([one for one in links if mirrored or one[2] != "mirrored_duplicate"]):
        _across(found, view, group)
    return groups(links)


def _across(found: Findings, view: View, group: list[int]) -> None:
    """Copies of one picture in several splits, or filed under several classes."""
    first = group[0]  # train comes before validation, and that before test
    for row in group[1:]:
        if view.split(row) != view.split(first):
            text = (
                f"scores on {view.split(row)} flatter: remove it, or file all copies of a picture "
                f"under {view.split(first)}"
            )
            found.leaks.append((first, row))
            found.rows.append(
                _row(
                    view,
                    row,
                    finding="leakage",
                    other_file=view.files[first],
                    suggestion=text,
                )
            )
        if view.class_of(row) != view.class_of(first):
            text = f"the same picture is {view.class_of(first)} there: one of the two is wrong"
            found.rows.append(
                _row(
                    view,
                    row,
                    finding="label_conflict",
                    other_file=view.files[first],
                    suggestion=text,
                )
            )


def _labels(
    found: Findings,
    view: View,
    telling: Mapping[str, Tensor],
    groups: list[list[int]],
    seed: int,
) -> None:
    import torch

    from ganlib.data.quality import labels

    if not found.labelled or len(view) < PER_CLASS * len(view.classes):
        return
    group_N = torch.arange(len(view))
    for group in groups:
        group_N[torch.tensor(group)] = group[0]
    fold_N = labels.folds(group_N, seed=seed)
    found.features, judged = labels.judged_best(telling, view.label_N, fold_N, len(view.classes))
    found.accuracy = judged.accuracy
    suspects = labels.suspects(judged.probability_NK, view.label_N)
    for row, suggested, margin in zip(
        suspects.index.tolist(), suspects.suggested.tolist(), suspects.margin.tolist(), strict=True
    ):
        found.errors.append((row, suggested))
        found.rows.append(
            _row(
                view,
                row,
                finding="label_error",
                score=round(margin, 4),
                suggestion=f"looks like {view.classes[suggested]}: look at it",
            )
        )


def _outliers(found: Findings, view: View, feature_NF: Tensor) -> None:
    import torch

    from ganlib.data.quality import outliers

    blank: set[int] = set()
    for start in range(0, len(view), BLOCK):
        rows_B = torch.arange(start, min(start + BLOCK, len(view)))
        deviation_B = view.grey(rows_B, view.size).std((1, 2), correction=0)
        blank.update(rows_B[deviation_B < BLANK].tolist())
    for row in sorted(blank):
        found.rows.append(_row(view, row, finding="blank", suggestion="nothing is on it: remove"))
    distance_N = outliers.distances(outliers.components(feature_NF))
    index, score = outliers.surprising(distance_N)
    for row, far in zip(index.tolist(), score.tolist(), strict=True):
        if row in blank:
            continue
        found.outliers.append(row)
        found.rows.append(
            _row(
                view,
                row,
                finding="outlier",
                score=round(far, 3),
                suggestion="unlike all others: does it belong here?",
            )
        )


def _balance(found: Findings, dataset: Dataset) -> None:
    from ganlib.data.quality.balance import rare

    for one in rare(dataset.class_counts, dataset.classes):
        advice = "add images of it"
        if one.ratio > 1:
            advice += ", or --set classifier.class_weights=balanced"
        found.rows.append(
            Finding(
                finding="imbalance",
                split="train",
                label=one.name,
                score=round(one.ratio, 2),
                suggestion=f"{one.images} images, the largest class has {one.ratio:.1f} times "
                f"as many: {advice}",
            )
        )


def _drift(found: Findings, feature_NF: Tensor, other_NF: Tensor, against: str, seed: int) -> None:
    from ganlib.data.quality.drift import compare

    found.drift = drift = compare(other_NF, feature_NF, seed=seed)
    if drift is None or drift.p_value >= SIGNIFICANT or drift.accuracy < TELLING:
        return
    found.rows.append(
        Finding(
            finding="drift",
            other_file=against,
            score=round(drift.accuracy, 4),
            suggestion=f"a classifier tells these images from {against} in {drift.accuracy:.0%} of "
            f"{drift.tested} cases (p {drift.p_value:.2g}): models of one may not suit the other",
        )
    )


def foreign(drift: Drift, count: int) -> Iterator[int]:
    """Rows that look least like the set compared with, most foreign first."""
    order = drift.foreign_N.argsort(descending=True)
    yield from (row for row in order[:count].tolist() if drift.foreign_N[row] > 0)
