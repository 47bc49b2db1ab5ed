"""A generator and its judge on the held-out split: numbers with spread and floor, and pictures.

N images, H W pixels, C channels, K classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config import PipelineConfig
from ganlib.errors import DataError
from ganlib.stages import evidence, judges, opinions, report, sharing, teaching, training_runs
from ganlib.stages.context import Context
from ganlib.stages.keys import stage_key
from ganlib.stages.orders import ForEvaluation
from ganlib.stages.records import Work, run_stage
from ganlib.stages.values import (
    Candidate,
    DatasetRef,
    Evaluated,
    EvaluationResult,
    JudgeRef,
    Judges,
    JudgeScores,
    Metric,
    MetricRow,
    ModelRef,
    StageResult,
)

if TYPE_CHECKING:
    from ganlib.data import Dataset, Images, StoredImages
    from ganlib.evaluation import EvaluationTable, Extractor, Row
    from ganlib.evaluation.kept import Kept
    from ganlib.models import LoadedModel


def parts(
    config: PipelineConfig, dataset: DatasetRef, chosen: Judges, candidate: Candidate
) -> dict[str, Any]:
    return _parts(config, dataset, chosen.judge, candidate.model)


def _parts(
    config: PipelineConfig, dataset: DatasetRef, judge: JudgeRef, model: ModelRef
) -> dict[str, Any]:
    return {
        "evaluation": config.evaluation,
        "dataset": dataset.fingerprint,
        "judge": judge.fingerprint,
        "model": model.fingerprint,
        **teaching.parts(config),
        **({"weights": weights} if (weights := config.evaluation.weights()) else {}),
    }


def run(
    context: Context, dataset: DatasetRef, chosen: Judges, candidate: Candidate
) -> StageResult[EvaluationResult]:
    return run_model(context, dataset, chosen.judge, candidate.model)


def run_model(
    context: Context,
    dataset: DatasetRef,
    judge: JudgeRef,
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
        given=ForEvaluation(dataset=dataset, judge=judge, model=model, label=label),
    )


def _evaluate(
    work: Work, dataset: DatasetRef, judge: JudgeRef, model: ModelRef
) -> EvaluationResult:
    from ganlib.data import Dataset
    from ganlib.evaluation import Row, sample_sets, tabulate
    from ganlib.evaluation.opinions import named
    from ganlib.evaluation.others import Others
    from ganlib.evaluation.reference import build
    from ganlib.models import load_model
    from ganlib.training.memory import keep_freed

    keep_freed()
    begun, config = time.monotonic(), work.context.config.evaluation
    data = Dataset.open(Path(dataset.folder), dataset.fingerprint)
    loaded = load_model(Path(model.folder))
    _check_classes(data, loaded, model.folder)
    device = _device(work.context.config)
    loaded.module.to(device)
    extractor = judges.extractor(judge, data.channels, device)
    kept = sharing.kept(work, dataset, judge, device)
    work.journal.params({"evaluation": config.model_dump(mode="json"), "extractor": extractor.name})
    work.journal.dataset(work.context.config.name, dataset.fingerprint, dataset.folder)
    held, train = data.load("test"), _learnt_from(work.context.config, data)
    others = Others(data.load("validation"), train)
    samples = min(config.samples or len(held), len(held))
    with sharing.shared(work, samples, model, judge, data.channels) as by:
        reference = build(
            held.image_NHWC,
            held.label_N,
            extractor,
            config.samples,
            config.seed,
            classes=len(data.classes),
            judging=judge.kind == "classifier",
            other_NHWC=others,
            other_label_N=others.labels(),
            unseen=len(others.unseen),
            pairs=by,
            kept=kept,
        )
        sets = sample_sets(
            loaded.module,
            reference,
            extractor,
            seeds=[config.seed + turn for turn in range(config.repeats)],
            neighbours=config.neighbours,
            draw=by.draw if by else None,
        )
        found = tabulate(
            reference,
            sets,
            neighbours=config.neighbours,
            present_share=config.present_share,
            names=data.classes,
        )
        found = named(found, extractor.name, "test")
        seen_by_others = opinions.rows(
            work, loaded.module, data, held, others, model=model, by=by, device=device
        )
    learnt = kept.tensors("train", lambda: {"feature_NF": extractor(train.image_NHWC)[0]})
    train_NF = learnt["feature_NF"]
    memory, nearest_B = evidence.memory_rows(reference, sets[0], train_NF, others.unseen, extractor)
    taught = teaching.rows(work, loaded.module, data, train, held, kept=kept, device=device)
    found = replace(found, rows=found.rows + memory + taught)
    clock, generator = model.images, loaded.module
    told = replace(found, rows=found.rows + seen_by_others)
    drawn = evidence.pictures_of(work, generator, extractor, data, train, train_NF, found, clock)
    drawn["missing"] = evidence.missing(work, reference, sets, data, config.neighbours, clock)
    drawn["closest"] = evidence.closest(work, generator, sets[0], nearest_B, train, train_NF, clock)
    evaluated = Evaluated(
        model=model.fingerprint,
        judge=judge.fingerprint,
        extractor=extractor.name,
        samples=reference.samples,
        metrics=_metrics(found, config.repeats),
        rows=_rows(told.rows),
        table=work.table("evaluation", told.to_frame()),
        pictures=drawn,
        run=work.identity.id,
    )
    work.journal.metrics(model.images, _readings(evaluated))
    scores = _judge(work, extractor, data, kept) if judge.kind == "classifier" else None
    confusion = {"judge_confusion": str(work.folder / "judge_confusion.png")} if scores else {}
    pages = report.write(
        work,
        report.Evaluation(
            dataset=dataset,
            judge=judge,
            model=model,
            generator=generator,
            found=told,
            samples=reference.samples,
            floor_of=reference.told(),
            judge_rows=tuple(Row(**row.model_dump()) for row in scores.rows) if scores else (),
            pictures={**drawn, **confusion},
            rival_key=lambda other: stage_key(
                "evaluate", _parts(work.context.config, dataset, judge, other)
            ),
            begun=begun,
        ),
    )
    return EvaluationResult(
        candidate=evaluated,
        judge=scores,
        judge_model=judge,
        dataset=dataset,
        folder=str(work.folder),
        report=pages.report,
        card=pages.card,
        judge_card=pages.judge_card,
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


def _metrics(found: EvaluationTable, sets: int) -> tuple[Metric, ...]:
    """Without those of one class and those that have no value, as a ratio to a floor of zero."""
    told = []
    for row in found.rows:
        spread = found.spread.get(row.metric, math.nan)
        repeated = row.metric in found.spread and row.metric != "classes_present"
        if math.isnan(spread) and row.low is not None and row.high is not None:
            spread = (row.high - row.low) / 3.92
        if "/" not in row.metric and row.value is not None and math.isfinite(spread):
            told.append(
                Metric(
                    metric=row.metric,
                    value=row.value,
                    spread=spread,
                    sets=sets if repeated else None,
                    floor=row.floor,
                )
            )
    return tuple(told)


def _rows(rows: Iterable[Row]) -> tuple[MetricRow, ...]:
    return tuple(MetricRow(**asdict(row)) for row in rows)


def _readings(evaluated: Evaluated) -> dict[str, float]:
    readings: dict[str, float] = {}
    for metric in evaluated.metrics:
        readings[f"test_{metric.metric}"] = metric.value
        readings[f"test_{metric.metric}_spread"] = metric.spread
        if metric.floor is not None:
            readings[f"test_{metric.metric}_floor"] = metric.floor
    return readings


def _judge(work: Work, extractor: Extractor, data: Dataset, kept: Kept) -> JudgeScores:
    """The confusion matrix as a table and a picture, and the accuracy with it."""
    from ganlib.evaluation import NOISES, classifier_rows, pictures, under_noise
    from ganlib.evaluation.classifier import accuracy_from
    from ganlib.evaluation.memory import some
    from ganlib.evaluation.table import to_frame

    held, seed = data.load("test"), work.context.config.evaluation.seed
    told = kept.tensors("judged", lambda: {"logits_NK": extractor(held.image_NHWC)[1]})
    scores = accuracy_from(told["logits_NK"], held.label_N)
    title = f"judge: {scores.accuracy:.2%} right"
    work.picture(
        0, "judge_confusion", pictures.confusion(data.classes, scores.confusion_KK, title=title)
    )
    few = some(len(held))

    def under_noises() -> dict[str, float]:
        few_NHWC, few_N = held.image_NHWC[few], held.label_N[few]
        return {str(s): under_noise(extractor, few_NHWC, few_N, s, seed) for s in NOISES}

    noises = kept.numbers(f"noises-{seed}", under_noises)
    noisy = [(sigma, noises[str(sigma)], len(few)) for sigma in NOISES]
    rows = classifier_rows(scores, data.classes, noisy, extractor.name)
    work.journal.metrics(
        0,
        {f"judge_{r.metric}": r.value for r in rows if r.value is not None and "/" not in r.metric},
    )
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
        rows=_rows(rows),
        rows_table=work.table("judge_rows", to_frame(rows)),
    )


def _describe(made: EvaluationResult) -> str:
    text = training_runs.readings(made.candidate.values())
    judge = f"; the judge {made.judge.accuracy:.1%}" if made.judge else ""
    return f"On {made.candidate.samples:,} held-out images: {text}{judge}."
