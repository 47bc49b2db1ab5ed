"""`ganlib data check`: a prepared set's copies, leaks, wrong labels, outliers and drift."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ganlib.config import (
    ByNetworks,
    Config,
    InceptionFeatures,
    PretrainedFeatures,
    RandomFeatures,
    fingerprint,
    load,
    require_extractors,
)
from ganlib.errors import ConfigError, NotFound
from ganlib.stages import prepare
from ganlib.stages.context import Context
from ganlib.stages.findings import Findings, foreign, look
from ganlib.stages.records import Work, run_stage
from ganlib.stages.seen import kept_features
from ganlib.stages.sharing import weights_digest
from ganlib.stages.values import DatasetRef, StageResult, Value
from ganlib.storage import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from ganlib.data import ImageRows
    from ganlib.data.quality.views import View
    from ganlib.evaluation import Extractor

CHAMPION = "champion"
Features = Literal["auto", "patches", "random", "pretrained", "inception"]
Network = RandomFeatures | PretrainedFeatures | InceptionFeatures
NETWORKS: dict[str, Network] = {
    network.kind: network
    for network in (RandomFeatures(), PretrainedFeatures(), InceptionFeatures())
}
# Colour images beyond these are not shown to the pretrained network unasked: 0.03 s for each.
MOST_UNASKED = 10_000
SHOWN = 40
EDGE = 96  # pixels of a picture's tile, about


class Against(Config):
    """What the images were compared with; `accuracy` .5 is no difference, 1 a complete one."""

    name: str
    fingerprint: str
    accuracy: float | None = Field(default=None, description="none: too few images to tell")
    p_value: float | None = None
    tested: int = 0


class Checked(Value):
    """`findings` are counts by kind; `accuracy` is the cross-validated classifier's.

    `features` are those that labels were judged by: patches, a network by its name, or both.
    """

    dataset: DatasetRef
    images: int
    findings: dict[str, int]
    class_counts: dict[str, tuple[int, ...]]
    accuracy: float | None
    features: str = ""
    against: Against | None
    table: str
    parquet: str
    pictures: dict[str, str]
    seconds: dict[str, float]

    @property
    def found(self) -> int:
        return sum(self.findings.values())

    def paths(self) -> tuple[str, ...]:
        return (self.table, self.parquet, *self.pictures.values())


def run(
    context: Context, against: str | None = None, features: Features = "auto"
) -> StageResult[Checked]:
    """Prepare the images, look at them, and compare them with `against` if something is named.

    `against` is a recipe, a file or folder, or `champion`: what the champion of the configuration's
    name was trained on. Wrong labels are looked for in `features`: patches of the images
    themselves, or a network's; `auto` takes patches, the pretrained network where it is installed
    and the images are at most 10,000 in colour, or both, whichever the labels agree with best.
    Raises DataError for images that cannot be used, NotFound for what is nowhere, ConfigError for a
    network that lacks something on this machine.
    """
    network, channels = NETWORKS.get(features), context.config.data.channels
    if network is not None and isinstance(context.config.judging, ByNetworks):
        raise ConfigError(
            f"--features {features} looks for wrong labels, and the images have no classes",
            where="--features",
            hint="leave it out: copies, outliers and drift are found in patches of the images",
        )
    if network is not None:
        require_extractors((network,), channels, "--features")
    prepared = prepare.run(context)
    dataset = prepared.value
    if choose := features == "auto" and _worthwhile(dataset):
        network = NETWORKS["pretrained"]
    other = None if against is None else _other(context, against)
    flip = context.config.classifier.distortion.flip
    parts = {
        "dataset": dataset.fingerprint,
        "prepared": prepared.key,  # names of files and what was skipped are not in the fingerprint
        "against": None if other is None else other[1],
        "mirrored": flip,
        **({} if network is None else {"features": network}),
        **({"choose": True} if choose else {}),
    }
    see = _keeping(context, network, _seeing(network, channels))
    return run_stage(
        context,
        "check",
        parts,
        Checked,
        lambda work: _check(work, dataset, against, other, flip, see, choose, network),
        describe=describe,
    )


def _worthwhile(dataset: DatasetRef) -> bool:
    """Whether there are labels, of what may be few enough photographs, and the network is here."""
    installed = NETWORKS["pretrained"].lacks(dataset.channels)[0] == ""
    few = sum(dataset.counts.values()) <= MOST_UNASKED
    return installed and dataset.labelled and dataset.channels == 3 and few


def _seeing(network: Network | None, channels: int) -> Callable[[ImageRows], Tensor] | None:
    if network is None:
        return None

    @cache
    def extractor() -> Extractor:
        from ganlib.evaluation.networks import build_extractor
        from ganlib.training.memory import keep_freed

        keep_freed()
        return build_extractor(network, channels=channels)

    return lambda image_NHWC: extractor()(image_NHWC)[0]


def _keeping(
    context: Context, network: Network | None, see: Callable[[ImageRows], Tensor] | None
) -> Callable[[ImageRows], Tensor] | None:
    """What a network saw is kept in the home: it takes longer than all else. Not of a random one,
    which takes less than finding the image again.
    """
    if see is None or network is None or isinstance(network, RandomFeatures):
        return see
    name = fingerprint("seen", 1, network, weights_digest(network))
    path = context.home.cache / "seen" / f"{network.kind}-{name}.safetensors"
    return lambda image_NHWC: kept_features(image_NHWC, see, path, context.say)


def _other(context: Context, against: str) -> tuple[str, str]:
    """Folder and fingerprint of the set to compare with."""
    if against == CHAMPION:
        return _champions(context)
    config = context.config
    source = load(against).data.source
    data = config.data.model_copy(update={"source": source})
    other = dataclasses.replace(context, config=config.model_copy(update={"data": data}))
    found = prepare.run(other).value
    return found.folder, found.fingerprint


def _champions(context: Context) -> tuple[str, str]:
    from ganlib.data import Dataset
    from ganlib.tracking import champion_dataset

    name = f"{context.config.name}-generator"
    fingerprint = champion_dataset(context.home, name)
    if fingerprint is None:
        raise NotFound(
            f"{name} has no champion to compare with",
            where="--against",
            hint="promote one first, or name a recipe or folder",
        )
    try:
        Dataset.open(context.home.data, fingerprint)
    except NotFound:
        raise NotFound(
            f"the champion of {name} was trained on the set {fingerprint}, which is not in "
            f"{context.home.data} any more",
            where="--against",
            hint="give the folder its images came from",
        ) from None
    return str(context.home.data), fingerprint


def _check(
    work: Work,
    ref: DatasetRef,
    against: str | None,
    other: tuple[str, str] | None,
    mirrored: bool,
    see: Callable[[ImageRows], Tensor] | None,
    choose: bool,
    network: Network | None,
) -> Checked:
    from ganlib.data import Dataset

    dataset = Dataset.open(Path(ref.folder), ref.fingerprint)
    theirs = None if other is None else Dataset.open(Path(other[0]), other[1])
    work.journal.dataset(work.context.config.name, ref.fingerprint, ref.folder)
    found, view, other_view = look(
        dataset,
        mirrored=mirrored,
        other=theirs,
        against=against or "",
        see=see,
        choose=choose,
        say=lambda what: work.journal.note(f"looking for {what}"),
    )
    frame = found.to_frame()
    parquet, data = work.folder / "findings.parquet", io.BytesIO()
    frame.to_parquet(data, index=False)
    write_bytes(parquet, data.getvalue())
    counts = found.counts()
    work.journal.metrics(len(view), {f"findings/{kind}": float(n) for kind, n in counts.items()})
    return Checked(
        dataset=ref,
        images=len(view),
        findings=counts,
        class_counts=dataset.class_counts,
        accuracy=found.accuracy,
        features=_judged_by(found.features, network),
        against=_told(against, other, found),
        table=work.table("findings", frame),
        parquet=str(parquet),
        pictures=_pictures(work, found, view, other_view),
        seconds={name: round(seconds, 3) for name, seconds in found.seconds.items()},
    )


def _judged_by(features: str, network: Network | None) -> str:
    name = "" if network is None else network.kind
    return {"network": name, "both": f"patches and {name}"}.get(features, features)


def _told(against: str | None, other: tuple[str, str] | None, found: Findings) -> Against | None:
    if against is None or other is None:
        return None
    if found.drift is None:
        return Against(name=against, fingerprint=other[1])
    drift = found.drift
    return Against(
        name=against,
        fingerprint=other[1],
        accuracy=drift.accuracy,
        p_value=drift.p_value,
        tested=drift.tested,
    )


def _pictures(work: Work, found: Findings, view: View, other: View | None) -> dict[str, str]:
    """Copies and leaks in pairs, suspects with both labels, outliers, what drifted."""
    made: dict[str, bytes] = {}
    for name, pairs in (("duplicates", found.pairs), ("leaks", found.leaks)):
        if pairs:
            rows = [row for pair in pairs[:SHOWN] for row in pair]
            made[name] = _page(view, rows, [_place(view, row) for row in rows], group=2)
    if found.errors:
        shown = found.errors[:SHOWN]
        texts = [f"{view.class_of(row)} > {view.classes[label]}?" for row, label in shown]
        made["label_errors"] = _page(view, [row for row, _ in shown], texts)
    if found.outliers:
        rows = found.outliers[:SHOWN]
        made["outliers"] = _page(view, rows, [view.class_of(row) for row in rows])
    if found.drift is not None and other is not None:
        rows = list(foreign(found.drift, SHOWN))
        if rows:
            made["most_foreign"] = _page(view, rows, [view.class_of(row) for row in rows])
    return {name: work.picture(len(view), name, png) for name, png in made.items()}


def _place(view: View, row: int) -> str:
    return f"{view.split(row)} {view.class_of(row)}".strip()


def _page(view: View, rows: Sequence[int], texts: Sequence[str], *, group: int = 1) -> bytes:
    import torch

    from ganlib.stages.captions import captioned

    image_NHWC = view.image_NHWC[torch.tensor(list(rows))].numpy()
    image_NHWC = image_NHWC[..., : 3 if image_NHWC.shape[-1] >= 3 else 1]
    scale = max(1, round(EDGE / view.size))
    return captioned(image_NHWC, texts, columns=8, scale=scale, group=group)


def describe(made: Checked) -> str:
    said = [f"{n} {kind.replace('_', ' ')}" for kind, n in made.findings.items() if n]
    return f"{made.images:,} images: {', '.join(said) or 'nothing found'}."


def summary(made: Checked) -> list[tuple[str, Any]]:
    """Kind and count for a person, with what the zeros rest on."""
    rows: list[tuple[str, Any]] = [
        (kind.replace("_", " "), count) for kind, count in made.findings.items()
    ]
    if not made.dataset.labelled:
        rows.append(("labels and balance", "not looked at: the images have no classes"))
    if made.accuracy is not None:
        told = f"{made.accuracy:.1%} agree with their label, by {made.features}"
        rows.append(("classifier, cross-validated", told))
    if made.against is not None and made.against.accuracy is not None:
        rows.append(
            (
                f"told from {made.against.name}",
                f"{made.against.accuracy:.1%} of {made.against.tested:,} (half is no drift), "
                f"p {made.against.p_value:.2g}",
            )
        )
    elif made.against is not None:
        rows.append((f"told from {made.against.name}", "too few images to tell"))
    return rows
