"""Extractors of an evaluation, as a user writes them."""

from __future__ import annotations

import pytest

from ganlib.config import (
    EvaluationConfig,
    JudgeFeatures,
    RandomFeatures,
    fingerprint,
    load,
    overlay,
    parse_assignments,
    recipe_names,
)
from ganlib.errors import ConfigError


def extractors(text):
    changed = overlay(load("digits"), parse_assignments([f"evaluation.extractors={text}"]))
    return changed.evaluation.extractors


def test_a_name_is_short_for_its_defaults():
    assert extractors("[judge, random]") == (JudgeFeatures(), RandomFeatures())
    assert extractors("[{kind: random, seed: 3}]") == (RandomFeatures(seed=3),)
    by_name = EvaluationConfig(extractors=("judge", "random"))
    assert fingerprint(by_name) == fingerprint(
        EvaluationConfig(extractors=extractors("[judge, random]"))
    )
    assert by_name.others() == (RandomFeatures(),)


def test_every_recipe_is_judged_by_its_judge_alone():
    assert [load(name).evaluation.others() for name in recipe_names()] == [()] * len(recipe_names())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[judge, rondom]", "'rondom'"),
        ("[random, judge]", "judge, which can only be the first"),
        ("[judge, random, random]", "random twice"),
        ("[judge, {kind: random, sead: 1}]", "did you mean"),
        ("random", "tuple"),
    ],
)
def test_what_is_no_extractor_is_refused(text, reason):
    with pytest.raises(ConfigError, match=reason):
        extractors(text)
