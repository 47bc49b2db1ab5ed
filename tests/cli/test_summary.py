"""The end of a run, for a person and for a program."""

from __future__ import annotations

import io
import json

import pytest

from flows.chain import PipelineResult, StageReport
from ganlib.cli import output, summary
from ganlib.config import load_recipe
from ganlib.stages.durations import duration
from ganlib.stages.values import (
    Best,
    Candidate,
    DatasetRef,
    Decision,
    Duplicates,
    Evaluated,
    EvaluationResult,
    JudgeScores,
    Metric,
    ModelRef,
    RegisteredModel,
)

HOME = "/somewhere/home"
TIMES = {"start-up": 4.0, "closing": 1.0, "total": 75.0}


def made(verdict: str = "promoted") -> PipelineResult:
    model = ModelRef(
        kind="generator", folder=f"{HOME}/runs/gan/model", fingerprint="abcd", run="r",
        images=8000, reason="budget", metrics={},
    )  # fmt: skip
    generator = RegisteredModel(
        name="digits-generator", version="2", uri="models:/digits-generator/2",
        aliases=("champion",) if verdict == "promoted" else (), verdict=verdict,  # type: ignore[arg-type]
    )  # fmt: skip
    judge = generator.model_copy(update={"name": "digits-classifier", "aliases": ("champion",)})
    candidate = Evaluated(
        model="abcd", judge="ef", extractor="judge:features", samples=357,
        metrics=(Metric(metric="coverage", value=0.91, spread=0.01, floor=0.95),),
        table=f"{HOME}/evaluation.csv", pictures={"grid": f"{HOME}/grid.png"}, run="r",
    )  # fmt: skip
    dataset = DatasetRef(
        folder=f"{HOME}/data", fingerprint="f", size=8, channels=1, classes=("0", "1"),
        counts={"train": 1288, "test": 357}, skipped=2, skipped_table=f"{HOME}/skipped.csv",
        ignored={".txt": 3}, duplicates=Duplicates(exact=5, near=4, across_splits=1),
        duplicates_table=f"{HOME}/duplicates.csv", images_per_second=812.3,
    )  # fmt: skip
    judge_model = model.model_copy(update={"kind": "classifier", "fingerprint": "ef"})
    scores = JudgeScores(accuracy=0.98, per_class={}, samples=357, table=f"{HOME}/judge.csv")
    return PipelineResult(
        pipeline="p-000000000000",
        home=HOME,
        name="digits",
        stages=(
            StageReport(stage="prepare", key="a", run="r", reused=True, seconds=3.0, took=0.1),
            StageReport(stage="gan", key="b", run="r", reused=False, seconds=61.0, took=62.0),
        ),
        dataset=dataset,
        best=Best(overlay={"gan.seed": 3}, trial=1, trials=4, readings={}, table=None),
        candidate=Candidate(model=model, overlay={}, config={}),
        evaluation=EvaluationResult(
            candidate=candidate, judge=scores, judge_model=judge_model, dataset=dataset, folder=HOME
        ),
        decision=Decision(
            verdict=verdict, reasons=("Because.",), generator=generator, judge=judge  # type: ignore[arg-type]
        ),
    )  # fmt: skip


def shown(done: PipelineResult) -> str:
    stream = io.StringIO()
    summary.show(output.console(stream), load_recipe("digits"), done, TIMES)
    return stream.getvalue()


def test_a_person_reads_what_was_made_where_it_is_and_what_is_next() -> None:
    text = shown(made())
    for part in (
        "digits: promoted", "1,288 train", "812 images/s", "skipped.csv", "3 .txt",
        "duplicates.csv",
        "5 exact and 4 near, 1 across splits", "trial 1 of 4: seed=3", "grid.png",
        "digits-generator v2", "promoted: champion", "Because.", "coverage", "0.91", "0.95",
        "reused; it took 3.0 s", "1 min 02 s", "1 min 15 s",
        f"gan.seed {load_recipe('digits').gan.seed}",
        "ganlib sample models:/digits-generator@champion", f"--home {HOME}",
    ):  # fmt: skip
        assert part in text, part


def test_a_refused_model_is_named_by_its_version() -> None:
    text = shown(made("refused"))
    assert "digits: refused" in text
    assert "ganlib sample models:/digits-generator/2" in text
    assert "ganlib predict models:/digits-classifier@champion FOLDER" in text


def test_a_program_reads_the_same() -> None:
    told = json.loads(json.dumps(summary.result(load_recipe("digits"), made(), TIMES)))
    assert told["verdict"] == "promoted"
    assert told["candidate"]["weights"] == "abcd"
    assert told["metrics"] == {"coverage": 0.91, "judge_accuracy": 0.98}
    assert told["seeds"]["evaluation.seed"] == load_recipe("digits").evaluation.seed
    assert told["seconds"]["total"] == 75.0
    assert told["reused"] is False


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"),
     (3600, "1 h 00 min"), (11_040, "3 h 04 min")],
)  # fmt: skip
def test_durations_are_short_and_round(seconds: float, text: str) -> None:
    assert duration(seconds) == text
