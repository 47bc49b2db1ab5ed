"""The report that an evaluation writes, from what its home remembers."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ganlib.config import PipelineConfig
from ganlib.evaluation import Row
from ganlib.stages import accounts, evaluate
from ganlib.stages.origins import MOST_FRAMES, Origins, Training, origins, training
from ganlib.stages.records import Record
from ganlib.stages.values import EvaluationResult, ModelRef, StageResult
from ganlib.storage import Home, write_json
from ganlib.training import Journal, RunIdentity, read_journal
from tests.evaluation.test_report import Read, png
from tests.stages.conftest import Trained


@pytest.fixture(scope="module")
def done(trained: Trained) -> StageResult[EvaluationResult]:
    """Of a generator whose run and sweep are in the home."""
    model = trained.candidate.model
    identity = RunIdentity(id=model.run, key="k", experiment="e", name="gan", stage="gan")
    journal = Journal(trained.home.spool / f"{model.run}.jsonl", identity)
    journal.metrics(2_000, {"train/win_rate": 0.91, "train/images_per_second": 700.0})
    journal.metrics(4_000, {"eval/coverage": 0.31, "eval/recall": 0.2})
    for clock in (2_000, 4_000):
        journal.image(clock, "samples", png())
    journal.note("stalled (discriminator won) at 4000 images")
    journal.tags({"ganlib.rescue.1": "rolled back to 2000"})
    return evaluate.run(
        trained.context(fresh=True), trained.dataset, trained.classifiers, trained.candidate
    )


def test_the_page_holds_every_figure_of_the_evaluation(
    done: StageResult[EvaluationResult], trained: Trained
) -> None:
    found = done.value
    assert found.report is not None
    read = Read(Path(found.report).read_text(encoding="utf-8"))
    told = [row.metric for row in (*found.candidate.rows, *found.judge.rows)]
    assert sorted(read.attributes("data-metric")) == sorted(told)
    assert read.attributes("data-picture") == [
        "grid", "real_beside_generated", "truncation", "interpolation", "missing", "nearest",
        "closest", "judge_confusion",
    ]  # fmt: skip
    assert read.attributes("data-clock") == ["2000", "4000"]
    assert read.attributes("data-series") == ["coverage", "recall", "win_rate"]
    assert "stalled (discriminator won) at 4000 images" in read.text["collapse"]
    assert "rolled back to 2000" in read.text["collapse"]
    assert "none" not in read.text["collapse"]
    assert found.candidate.model in read.text["lineage"]
    # The home is shared, so other tests may have promoted this very model before.
    told = ("There was no champion", "This is the champion itself")
    assert any(words in read.text["champion"] for words in told)
    lines = list(read_journal(trained.home.spool / f"{done.run}.jsonl"))
    assert found.report in {line["path"] for line in lines if line["kind"] == "artifact"}
    assert found.report in found.paths()


def test_the_page_holds_the_configuration_that_makes_it_again(
    done: StageResult[EvaluationResult], trained: Trained
) -> None:
    text = Path(str(done.value.report)).read_text(encoding="utf-8")
    read = Read(text)
    start = read.text["reproduce"].index("name: small")
    end = read.text["reproduce"].index("What must come out")
    given = yaml.safe_load(read.text["reproduce"][start:end])
    assert PipelineConfig.model_validate(given) == trained.config
    assert "ganlib evaluate small.yaml --no-sweep" in read.text["reproduce"]
    assert done.value.judge_model.fingerprint in read.text["reproduce"]


def test_the_cards_tell_the_same_figures(done: StageResult[EvaluationResult]) -> None:
    found = done.value
    card = Path(str(found.card)).read_text(encoding="utf-8")
    coverage = found.candidate.values()["coverage"]
    assert f"| coverage | {coverage:.4g} |" in card
    assert found.candidate.model in card
    judge = Path(str(found.judge_card)).read_text(encoding="utf-8")
    assert f"| accuracy | {found.judge.accuracy:.4g} |" in judge


def test_what_is_gone_or_damaged_is_left_out(trained: Trained, tmp_path: Path) -> None:
    model = trained.candidate.model.model_copy(
        update={"folder": str(tmp_path / "run" / "model"), "run": "nobody"}
    )
    assert training(trained.home, model) == Training()
    (tmp_path / "run" / "snapshots" / "5").mkdir(parents=True)
    (tmp_path / "run" / "snapshots" / "5" / "meta.json").write_text("{")
    (tmp_path / "run" / "outcome.json").write_text("[]")
    assert training(trained.home, model) == Training()
    write_json(tmp_path / "run" / "snapshots" / "5" / "meta.json", {"parent": "000003"})
    assert training(trained.home, model).parent == "snapshot 5, after 3"


def test_long_runs_show_some_of_their_pictures(trained: Trained) -> None:
    identity = RunIdentity(id="long", key="k", experiment="e", name="gan", stage="gan")
    path = trained.home.spool / "long.jsonl"
    journal = Journal(path, identity)
    for clock in range(100, 5_100, 100):
        journal.image(clock, "samples", b"png")
    model = trained.candidate.model.model_copy(update={"run": "long"})
    clocks = [clock for clock, _ in training(trained.home, model).frames]
    path.unlink()  # the home is shared, and nothing can log these pictures
    assert len(clocks) == MOST_FRAMES
    assert (clocks[0], clocks[-1]) == (100, 5_000)


def record(stage: str, finished: float, result: dict[str, Any], **values: Any) -> Record:
    return Record(
        stage=stage, label=stage, key=f"{stage}-{finished:.0f}", version=1, parts={},
        values=values, result=result, seconds=60.0, finished=finished, pipeline_id="p", run="r",
    )  # fmt: skip


def test_the_sweep_meant_is_the_one_whose_winner_was_trained(
    trained: Trained, tmp_path: Path
) -> None:
    home, model = Home.open(tmp_path / "home"), trained.candidate.model
    seen = {"selector": "s", "dataset": "d"}
    swept = {"target": "gan", "trials": 4, "trial": 2, "overlay": {"gan.seed": 3}}
    table = tmp_path / "trials.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["trial", "state", "model"], [0, "diverged", "m"]])
    right = record("sweep", 2, {**swept, "table": str(table)}, **seen)
    trained_by = {"model": model.model_dump(mode="json"), "overlay": {"gan.seed": 3}}
    for one in (
        record("sweep", 1, {**swept, "overlay": {"gan.seed": 4}}, **seen), right,
        record("sweep", 3, swept, selector="another", dataset="d"),
        record("gan", 4, trained_by, **seen), record("sweep", 5, swept, **seen),
        record("prepare", 6, {"fingerprint": "other"}),
    ):  # fmt: skip
        write_json(home.stages / one.key / "record.json", json.loads(one.model_dump_json()))
    (home.stages / "torn").mkdir()
    (home.stages / "torn" / "record.json").write_text("{")
    past = origins(home, trained.dataset, trained.classifiers.judge, model)
    assert past.sweep == right
    assert past.prepare is None
    told = accounts.trials(past)
    assert told is not None
    assert (told.columns, told.rows) == (("trial", "state"), (("0", "diverged"),))
    cost, notes = accounts.cost(
        past, Training(speed=900.0), {"workers": 2, "threads": 3}, 30.0, trained.classifiers.judge
    )
    assert cost.rows[-1][:2] == ("total", "2 min 30 s")
    assert any("900 images/s" in cell for row in cost.rows for cell in row)
    assert notes[0].startswith("Training the generator took 6 CPU-minutes")
    assert accounts.trials(Origins()) is None


def rows(**values: tuple[float | None, float]) -> list[Row]:
    return [
        Row(name, value, value, value, floor, 100, "judge", "features")
        for name, (value, floor) in values.items()
    ]


@pytest.mark.parametrize(
    ("found", "verdict", "told"),
    [
        ({"classes_present": (10.0, 10.0), "relative_coverage": (0.9, 1.0)}, "", ""),
        ({"classes_present": (7.0, 10.0)}, "", "Collapsed: 3 of 10 classes"),
        ({"classes_present": (9.67, 10.0)}, "", ""),
        ({"classes_present": (0.0, 0.0)}, "", "collapse cannot be told"),
        ({"intra_class_distance/cat": (None, 0.1)}, "", "no image of cat: its distance"),
        ({"relative_coverage": (0.2, 1.0)}, "", "covers 20% of what"),
        ({"copied_share": (0.4, 0.01)}, "", "40.0% of the samples are as near"),
        ({}, "stalled (discriminator won)", "Play stalled (discriminator won)."),
    ],
)
def test_alarms_are_of_what_nobody_may_overlook(
    found: dict[str, tuple[float | None, float]], verdict: str, told: str
) -> None:
    model = ModelRef(
        kind="generator", folder="f", fingerprint="a", run="r", images=1, reason="budget",
        verdict=verdict, metrics={},
    )  # fmt: skip
    said = list(accounts.alarms(rows(**found), model))
    assert len(said) == bool(told)
    assert all(told in one for one in said)


def test_other_extractors_rows_raise_no_alarm_and_are_not_taken_for_the_judges() -> None:
    (judged,) = rows(relative_coverage=(0.9, 1.0))
    model = ModelRef(
        kind="generator", folder="f", fingerprint="a", run="r", images=1, reason="budget",
        metrics={},
    )  # fmt: skip
    other = replace(judged, value=0.1, extractor="pixels")
    assert list(accounts.alarms([judged, other], model)) == []
