"""A generator and its judge on the held-out split: numbers with spread and floor, and pictures.

N images, H W pixels, C channels, K classes.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config import PipelineConfig
from ganlib.errors import DataError
from ganlib.stages import training_runs
from ganlib.stages.context import Context
from ganlib.stages.records import Work, run_stage
from ganlib.stages.values import (
    Candidate,
    Classifiers,
    DatasetRef,
    Evaluated,
    EvaluationResult,
    JudgeScores,
    Metric,
    MetricRow,
    ModelRef,
    StageResult,
)

if TYPE_CHECKING:
    from ganlib.data import Dataset, Images, StoredImages
    from ganlib.evaluation import ClassifierExtractor, EvaluationTable
    from ganlib.models import LoadedModel

COLUMNS = 10
NEAREST = 18


def parts(
    config: PipelineConfig, dataset: DatasetRef, classifiers: Classifiers, candidate: Candidate
) -> dict[str, Any]:
    return _parts(config, dataset, classifiers.judge, candidate.model)


def _parts(
    config: PipelineConfig, dataset: DatasetRef, judge: ModelRef, model: ModelRef
) -> dict[str, Any]:
    return {
        "evaluation": config.evaluation,
        "dataset": dataset.fingerprint,
        "judge": judge.fingerprint,
        "model": model.fingerprint,
    }


def run(
    context: Context, dataset: DatasetRef, classifiers: Classifiers, candidate: Candidate
) -> StageResult[EvaluationResult]:
    return run_model(context, dataset, classifiers.judge, candidate.model)


def run_model(
    context: Context,
    dataset: DatasetRef,
    judge: ModelRef,
    model: ModelRef,
    label: str = "evaluate",
) -> StageResult[EvaluationResult]:
    """Any generator by any judge; the champion is looked at again under its own `label`."""
    return run_stage(
        context,
        "evaluate",
        _parts(context.config, dataset, judge, model),
        EvaluationResult,
        lambda work: _evaluate(work, dataset, judge, model),
        describe=_describe,
        label=label,
    )


def _evaluate(
    work: Work, dataset: DatasetRef, judge: ModelRef, model: ModelRef
) -> EvaluationResult:
    from ganlib.data import Dataset
    from ganlib.evaluation import ClassifierExtractor, repeated
    from ganlib.evaluation.reference import build
    from ganlib.models import load_model

    config = work.context.config.evaluation
    data = Dataset.open(Path(dataset.folder), dataset.fingerprint)
    loaded, judging = load_model(Path(model.folder)), load_model(Path(judge.folder))
    _check_classes(data, loaded, model.folder)
    device = _device(work.context.config)
    loaded.module.to(device)
    judging.module.to(device)
    extractor = ClassifierExtractor(judging, f"judge-{judge.fingerprint[:8]}:features")
    work.journal.params({"evaluation": config.model_dump(mode="json"), "extractor": extractor.name})
    work.journal.dataset(work.context.config.name, dataset.fingerprint, dataset.folder)
    held, train = data.load("test"), _learnt_from(work.context.config, data)
    reference = build(
        held.image_NHWC,
        held.label_N,
        extractor,
        config.samples,
        config.seed,
        other_NHWC=train.image_NHWC,
        other_label_N=train.label_N,
    )
    found = repeated(
        loaded.module,
        reference,
        extractor,
        seeds=[config.seed + turn for turn in range(config.repeats)],
        neighbours=config.neighbours,
        present_share=config.present_share,
        names=data.classes,
    )
    evaluated = Evaluated(
        model=model.fingerprint,
        judge=judge.fingerprint,
        extractor=extractor.name,
        samples=reference.samples,
        metrics=_metrics(found),
        rows=tuple(MetricRow(**asdict(row)) for row in found.rows),
        table=work.table("evaluation", found.to_frame()),
        pictures=_pictures(work, loaded.module, extractor, data, found, model.images),
        run=work.identity.id,
    )
    work.journal.metrics(model.images, _readings(evaluated))
    return EvaluationResult(
        candidate=evaluated,
        judge=_judge(work, extractor, data),
        judge_model=judge,
        dataset=dataset,
        folder=str(work.folder),
    )


def _check_classes(data: Dataset, loaded: LoadedModel, folder: str) -> None:
    """A champion of other days may know other classes or sizes."""
    if (loaded.classes, loaded.size, loaded.channels) != (data.classes, data.size, data.channels):
        raise DataError(
            f"{folder} was made for other images: {len(loaded.classes)} classes at {loaded.size} "
            f"pixels, and the data has {len(data.classes)} at {data.size}",
            where=folder,
            hint="its models are others: give the pipeline another name, --set name=...",
        )


def judge_alone(context: Context, dataset: DatasetRef, folder: Path) -> JudgeScores:
    """Another classifier on the same held-out images."""
    from ganlib.data import Dataset
    from ganlib.evaluation import ClassifierExtractor, accuracy_of
    from ganlib.models import load_model

    data, loaded = Dataset.open(Path(dataset.folder), dataset.fingerprint), load_model(folder)
    _check_classes(data, loaded, str(folder))
    loaded.module.to(_device(context.config))
    held = data.load("test")
    extractor = ClassifierExtractor(loaded, "classifier:features")
    scores = accuracy_of(extractor, held.image_NHWC, held.label_N)
    return JudgeScores(
        accuracy=scores.accuracy,
        top5=scores.top5,
        calibration_error=scores.calibration_error,
        samples=scores.samples,
        per_class={},
        table="",
    )


def _device(config: PipelineConfig) -> str:
    import torch

    return "cuda" if config.cluster.device != "cpu" and torch.cuda.is_available() else "cpu"


def _learnt_from(config: PipelineConfig, data: Dataset) -> Images | StoredImages:
    """The training images; a few of them and their features are all that is needed of them here."""
    import torch

    from ganlib.data import open_images

    return open_images(data, "train", config.data.reading, torch.device("cpu"))


def _metrics(found: EvaluationTable) -> tuple[Metric, ...]:
    """Without those that have no value, as a ratio to a floor of zero has none."""
    floors = {row.metric: row.floor for row in found.rows}
    return tuple(
        Metric(metric=metric, value=value, spread=found.spread[metric], floor=floors[metric])
        for metric, value in found.readings().items()
        if math.isfinite(found.spread[metric])
    )


def _readings(evaluated: Evaluated) -> dict[str, float]:
    readings: dict[str, float] = {}
    for metric in evaluated.metrics:
        readings[f"test_{metric.metric}"] = metric.value
        readings[f"test_{metric.metric}_spread"] = metric.spread
        if metric.floor is not None:
            readings[f"test_{metric.metric}_floor"] = metric.floor
    return readings


def _judge(work: Work, extractor: ClassifierExtractor, data: Dataset) -> JudgeScores:
    """The confusion matrix as a table and a picture, and the accuracy with it."""
    from ganlib.evaluation import accuracy_of, pictures

    held = data.load("test")
    scores = accuracy_of(extractor, held.image_NHWC, held.label_N)
    title = f"judge: {scores.accuracy:.2%} right"
    work.picture(
        0, "judge_confusion", pictures.confusion(data.classes, scores.confusion_KK, title=title)
    )
    found = {"judge_accuracy": scores.accuracy, "judge_calibration_error": scores.calibration_error}
    work.journal.metrics(0, found | ({} if scores.top5 is None else {"judge_top5": scores.top5}))
    return JudgeScores(
        accuracy=scores.accuracy,
        top5=scores.top5,
        calibration_error=scores.calibration_error,
        per_class={
            name: value
            for name, value in zip(data.classes, scores.per_class, strict=True)
            if math.isfinite(value)
        },
        samples=scores.samples,
        table=work.table("judge", scores.to_frame(data.classes)),
    )


def _pictures(
    work: Work,
    generator: Any,
    extractor: ClassifierExtractor,
    data: Dataset,
    found: EvaluationTable,
    clock: int,
) -> dict[str, str]:
    """A grid by class, real beside generated, the classes' shares, and the nearest neighbours."""
    import torch

    from ganlib.evaluation import generate, grid_labels, nearest_neighbours, pictures

    scale = max(1, round(48 / data.size))
    label_N = grid_labels(len(data.classes), COLUMNS)
    seed_N = torch.arange(len(label_N)) + work.context.config.evaluation.seed
    image_NHWC = generate(generator, seed_N, label_N)
    names = [data.classes[label] for label in label_N[::COLUMNS].tolist()]
    train = _learnt_from(work.context.config, data)
    step = max(1, len(image_NHWC) // NEAREST)
    some_NHWC = image_NHWC[::step][:NEAREST]
    near = nearest_neighbours(some_NHWC, train.image_NHWC, extractor)
    made = {
        "grid": pictures.grid(image_NHWC, COLUMNS, scale, names=names),
        "real_beside_generated": _beside(data, image_NHWC, label_N, names, scale),
        "classes": pictures.class_bars(data.classes, found.real_share_K, found.share_K),
        "nearest": near.picture(some_NHWC, train.image_NHWC, scale=scale),
    }
    return {name: work.picture(clock, name, png) for name, png in made.items()}


def _beside(data: Dataset, image_NHWC: Any, label_N: Any, names: list[str], scale: int) -> bytes:
    """Left half of a row real, right half generated."""
    import torch

    from ganlib.evaluation import pictures

    held, half = data.load("test"), COLUMNS // 2
    rows = []
    for start in range(0, len(label_N), COLUMNS):
        real_NHWC = held.image_NHWC[held.label_N == label_N[start]][:half]
        blank_NHWC = torch.full((half - len(real_NHWC), *real_NHWC.shape[1:]), 255).to(torch.uint8)
        rows += [real_NHWC, blank_NHWC, image_NHWC[start : start + half]]
    return pictures.grid(torch.cat(rows), 2 * half, scale, names=names, group=half)


def _describe(made: EvaluationResult) -> str:
    text = training_runs.readings(made.candidate.values())
    count, judge = made.candidate.samples, made.judge.accuracy
    return f"On {count:,} held-out images: {text}; the judge {judge:.1%}."
