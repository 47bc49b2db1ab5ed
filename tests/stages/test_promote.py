"""Promotion by the registry's own history, with real models in a real MLflow on sqlite."""

from __future__ import annotations

import pytest

from ganlib import tracking
from ganlib.config import PipelineConfig, PromotionConfig, overlay
from ganlib.errors import ConfigError, NotFound
from ganlib.stages import check, evaluate, pipelines, promote
from ganlib.stages.context import Context
from ganlib.stages.records import identity_of
from ganlib.stages.sessions import session
from ganlib.stages.status import status
from ganlib.stages.values import (
    Candidate,
    Classifiers,
    DatasetRef,
    Decision,
    Evaluated,
    EvaluationResult,
    JudgeScores,
    Metric,
    StageResult,
)
from ganlib.tracking.gate import decide as decided
from ganlib.training import Journal, read_journal
from tests.stages.conftest import Trained

LENIENT = {
    "promotion.min_relative_coverage": 0.0,
    "promotion.max_scaled_distance": 100.0,
    "promotion.min_label_agreement": 0.0,
    "promotion.min_classes_present": 0.0,
}


def decide(
    trained: Trained,
    candidate: Candidate,
    classifiers: Classifiers | None = None,
    **changes: float,
) -> tuple[StageResult[Decision], PipelineConfig]:
    paths = {f"promotion.{name}": value for name, value in changes.items()}
    config = overlay(trained.config, LENIENT | paths)
    with session(trained.home):
        run = pipelines.begin(trained.home, config, command="run")
        with pipelines.closing(trained.home, run):
            context = Context(trained.home, config, run)
            judges = classifiers or trained.classifiers
            evidence = evaluate.run(context, trained.dataset, judges, candidate).value
            return promote.run(context, candidate, evidence, judges), config


def aliases(trained: Trained) -> dict[str, tuple[str, ...]]:
    return {f"{m.name}/{m.version}": m.aliases for m in status(trained.home).models}


def test_champions_come_stay_and_go(trained: Trained) -> None:
    """One story, since each act needs the one before."""
    first, _ = decide(trained, trained.candidate)
    assert (first.value.verdict, first.reused) == ("promoted", False)
    assert first.value.generator.aliases == ("champion",)
    assert first.value.judge.verdict == "promoted"

    again, _ = decide(trained, trained.candidate)
    assert (again.value.verdict, again.reused, again.value.already) == ("promoted", True, True)

    worse = trained.generator(128)
    refused, _ = decide(trained, worse)
    assert refused.value.verdict == "refused"
    assert "the champion's" in refused.value.reasons[0]
    assert refused.value.reasons[-1] == (
        "the champion, version 1, was evaluated anew by models:/small-classifier/1, "
        "the judge it was promoted by"
    )
    assert refused.value.champion == "models:/small-generator/1"
    assert aliases(trained)["small-generator/1"] == ("champion",)
    assert aliases(trained)["small-generator/2"] == ("challenger",)
    with pytest.raises(NotFound, match="no champion before"):
        promote.rollback(trained.home, "small", "")

    limits, _ = decide(trained, worse, min_label_agreement=1.0)
    assert limits.value.verdict == "refused"
    assert "label agreement is" in limits.value.reasons[0]
    unsure, _ = decide(trained, worse, min_judge_accuracy=1.0)
    assert unsure.value.verdict == "cannot_tell"
    assert unsure.value.judge.verdict == "refused"

    tolerant, _ = decide(trained, worse, spread_factor=1e6)
    assert tolerant.value.verdict == "promoted", tolerant.value.reasons
    assert aliases(trained)["small-generator/1"] == ("previous",)
    back = promote.rollback(trained.home, "small", "looks odd")
    assert (back.champion, back.before) == (
        "models:/small-generator/1",
        "models:/small-generator/2",
    )
    assert aliases(trained)["small-generator/1"] == ("champion",)


def test_images_of_another_kind_than_the_champions_are_refused_before_training(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(trained, trained.candidate)
    check.data(trained.home, trained.config, trained.dataset, "promote")
    more = trained.dataset.model_copy(update={"classes": (*trained.dataset.classes, "ten")})
    with pytest.raises(ConfigError, match=r"made for other images: 10 classes.* 11.*ten") as caught:
        check.data(trained.home, trained.config, more, "promote")
    assert "another name" in caught.value.hint
    check.data(trained.home, trained.config, more, "evaluate")
    other = trained.config.model_copy(update={"name": "other"})
    check.data(trained.home, other, more, "promote")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    check.data(trained.home, trained.config, more, "promote")


def test_a_judge_that_is_refused_gates_no_generator(trained: Trained) -> None:
    decide(trained, trained.candidate)
    weak = trained.classifiers.model_copy(update={"judge": trained.classifier(0, 1_024)})
    unsure, _ = decide(trained, trained.candidate, weak, min_judge_accuracy=0.0)
    assert unsure.value.judge.verdict == "refused"
    assert unsure.value.verdict == "cannot_tell"
    (reason,) = unsure.value.reasons
    assert f"its judge, {unsure.value.judge.uri}, was not promoted" in reason
    assert "the champion's" in reason
    assert unsure.value.champion == "models:/small-generator/1"


def test_where_real_images_show_no_class_nobody_can_tell_a_collapse() -> None:
    """A floor of no class would let every generator through."""
    judge = JudgeScores.model_construct(accuracy=0.9)

    def evidence(floor: float) -> tracking.Evidence:
        present = Metric(metric="classes_present", value=0.0, spread=0.0, floor=floor)
        return promote._evidence(
            EvaluationResult.model_construct(
                candidate=Evaluated.model_construct(judge="j", samples=50, metrics=(present,)),
                dataset=DatasetRef.model_construct(classes=("a", "b")),
            ),
            judge,
        )

    gate = tracking.generator_gate(PromotionConfig(), 0)
    verdict = decided(evidence(0.0), None, gate)
    assert verdict.outcome == "cannot_tell"
    assert "finds none of the classes in 50 real images" in verdict.reasons[0]
    assert evidence(2.0).doubt == ""


def test_sets_that_agree_by_chance_do_not_turn_an_equal_model_away() -> None:
    """The sets' mean alone has one over their images of scaled distance in doubt."""

    def evidence(distance: float, spread: float, sets: int | None = 3) -> tracking.Evidence:
        told = Metric(metric="scaled_distance", value=distance, spread=spread, sets=sets)
        return promote._evidence(
            EvaluationResult.model_construct(
                candidate=Evaluated.model_construct(judge="j", samples=500, metrics=(told,)),
                dataset=DatasetRef.model_construct(classes=("a", "b")),
            ),
            None,
        )

    rule = tracking.classless_gate(PromotionConfig()).rules[1]
    gate = tracking.Gate(rules=(rule,))
    mine, champion = evidence(0.0112, 0.0), evidence(0.0100, 0.0)
    assert mine.spreads["scaled_distance"] == pytest.approx(0.002 / 3**0.5)
    assert mine.degrees == {"scaled_distance": 2}
    assert decided(mine, champion, gate).outcome == "promoted"
    assert decided(evidence(0.02, 0.0), champion, gate).outcome == "refused"
    wide = evidence(0.0100, 0.03)
    assert wide.spreads["scaled_distance"] == pytest.approx(0.03 / 3**0.5)
    assert evidence(0.01, 0.03, None).degrees == {}
    old = {"metric": "coverage", "value": 0.9, "spread": 0.01}
    assert Metric.model_validate(old).sets is None


def test_a_promotion_killed_after_its_decision_ends_as_finished(trained: Trained) -> None:
    """Its pipeline goes on, and the registry knows the answer already."""
    config = overlay(trained.config, LENIENT | {"promotion.spread_factor": 3.5})
    judges, candidate = trained.classifiers, trained.candidate
    with session(trained.home):
        run = pipelines.begin(trained.home, config, command="run")
        with pipelines.closing(trained.home, run):
            context = Context(trained.home, config, run)
            evidence = evaluate.run(context, trained.dataset, judges, candidate).value
            first = promote.run(context, candidate, evidence, judges)
            path = pipelines.journal_path(trained.home, first.run)
            identity = identity_of(context, "promote", first.key)
            Journal(path, identity).close("KILLED", "killed", "Killed.")
            again = promote.run(context, candidate, evidence, judges)
    assert (first.reused, again.reused, again.run) == (False, True, first.run)
    last = list(read_journal(path))[-1]
    assert (last["kind"], last["status"], last["verdict"]) == ("close", "FINISHED", "promoted")


def test_a_decision_is_a_run_and_a_known_one_is_only_linked(trained: Trained) -> None:
    decide(trained, trained.candidate)
    known, _ = decide(trained, trained.candidate)
    runs = [run for run in status(trained.home).runs if run.id.startswith(known.pipeline)]
    assert known.run == known.pipeline
    assert [run.stage for run in runs] == ["pipeline"]
