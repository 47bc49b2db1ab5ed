"""Published runs beside two simple rules of known figures; the account of runs of our own."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ganlib.bench import collapses
from ganlib.bench import detector as detector_bench
from ganlib.bench.detector import account, truth_of
from ganlib.bench.recorded import Recorded, Row, detector, fid_rule, read_logs, replay
from ganlib.cli.main import main
from ganlib.config import load_recipe, overlay
from ganlib.errors import DataError


@pytest.mark.data
def test_the_rules_have_their_known_figures_and_the_detector_hits_more(
    test_data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "detector", "--logs", str(test_data / "collapse_logs"), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)["result"]["logs"]
    assert (told["runs"], told["collapsed"]) == (32, 10)
    assert told["hours_possible"] == pytest.approx(132, abs=0.5)
    found = {
        rule["rule"]: (rule["hits"], rule["false_alarms"], round(rule["hours_saved"]))
        for rule in told["rules"]
    }
    assert found["FID rule"] == (8, 0, 103)
    assert found["loss rule"] == (6, 0, 61)
    assert found["detector"] == (9, 0, 104)
    ours = told["rules"][0]
    assert (ours["early"], ours["missed"]) == (1, 0)


def recorded(fid: list[float], best: int, collapsed: bool = True) -> Recorded:
    rows = tuple(Row(n, n / 10, {"distance/fid": x}) for n, x in enumerate(fid))
    return Recorded("run", rows, collapsed, best, hours=len(fid) / 10, after_best=0.0)


def test_an_alarm_before_the_best_evaluation_is_early_and_saves_nothing() -> None:
    run = recorded([10, 16, 16, 5, 9, 9, 9], best=3)
    assert (row := fid_rule(run)) is not None
    assert row.step == 2
    told = {rule["rule"]: rule for rule in replay([run])}["FID rule"]
    assert (told["early"], told["hits"], told["hours_saved"]) == (1, 0, 0)


def test_hours_are_saved_from_the_alarm_on() -> None:
    run = recorded([10, 5, 9, 9, 9, 9], best=1)
    told = {rule["rule"]: rule for rule in replay([run])}
    for rule in ("FID rule", "detector"):
        assert told[rule]["hours_saved"] == pytest.approx(0.6 - 0.3)
    healthy = recorded([10, 5, 9, 9], best=1, collapsed=False)
    assert {rule["rule"]: rule for rule in replay([healthy])}["detector"]["false_alarms"] == 1
    assert detector(recorded([10, 5, 9, 5, 9, 5], best=1)) is None


def test_a_folder_that_holds_no_logs_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"runs\.csv\.gz"):
        read_logs(tmp_path)


def cell(
    scores: list[float], coverage: list[float], *, collapses: bool, name: str = "made up"
) -> dict[str, Any]:
    """A run whose neighbour distance scores so, in units of its tolerance."""
    values = [{"pixels/neighbour_distance": math.exp(0.2 * score)} for score in scores]
    centre = {"pixels/neighbour_distance": 0.0}
    return {
        "recipe": "digits",
        "mechanism": name,
        "collapses": collapses,
        "seed": 0,
        "images": 100 * len(scores),
        "series": [[100 * (n + 1), value] for n, value in enumerate(values)],
        "null": {"centre": centre, "spread": centre},
        "truth": [{"coverage": x, "classes": 1.0, "spread": 1.0} for x in coverage],
        "training_s": 10.0,
        "reading_s": 0.1,
    }


GOOD = cell([-9, -5, -2, -1, 0, 0, 0, 0], [0.1, 0.5, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9], collapses=False)
LATE = cell(
    [-9, -5, -2, -1, 0, -9, -9, -9], [0.1, 0.5, 0.8, 0.9, 0.3, 0.1, 0.1, 0.1], collapses=True
)
UNSEEN = cell([0.0] * 8, [0.1] * 8, collapses=True)
HELD = cell([0.0] * 8, [0.1, 0.5, *[0.9] * 6], collapses=True)


def test_what_was_true_is_said_by_the_judge() -> None:
    assert truth_of(GOOD, 300) == ("healthy", None)
    assert truth_of(LATE, 300) == ("collapsed", 500)
    assert truth_of(UNSEEN, 300) == ("collapsed", 300)
    assert truth_of(HELD, 300) == ("neither", None)
    for lack in ("classes", "spread"):
        judged = {"coverage": 0.9, "classes": 1.0, "spread": 1.0, lack: 0.2}
        assert truth_of({**GOOD, "truth": [judged] * 8}, 300) == ("neither", None)


def test_recall_false_alarms_and_delay_are_counted() -> None:
    told = account([GOOD, GOOD, LATE, UNSEEN, HELD, {"recipe": "digits", "diverged": "nan"}])
    assert (told["collapsed"], told["healthy"], told["left_out"], told["diverged"]) == (2, 2, 1, 1)
    assert (told["recall"], told["false_alarm_rate"]) == (0.5, 0.0)
    assert told["delay"] == pytest.approx((700 - 500) / 800)
    assert told["recall_interval"] == pytest.approx([0.01258, 0.98742], abs=1e-4)
    assert told["false_alarm_interval"] == pytest.approx([0, 1 - 0.025**0.5])
    assert told["reading_share"] == pytest.approx(0.01)
    assert not told["passed"]


def test_runs_are_kept_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mechanism on real digits, shortened."""
    small = {"budget.images": 1_920, "generator.network.width": 8, "discriminator.network.width": 8}
    monkeypatch.setattr(collapses, "RECIPES", {"digits": small})
    monkeypatch.setattr(collapses, "MECHANISMS", {"late rates": collapses.MECHANISMS["late rates"]})
    monkeypatch.setattr(collapses, "READINGS", 3)
    short = overlay(load_recipe("digits"), {"classifier.budget.images": 1_280})
    monkeypatch.setattr(collapses, "load_recipe", lambda name: short)
    said: list[str] = []
    told = detector_bench.bench_runs(tmp_path, seeds=1, recipes=("digits",), say=said.append)
    assert [row["mechanism"] for row in told["rows"]] == ["late rates"]
    assert len(said) == 1
    (path,) = (tmp_path / "runs").iterdir()
    kept = json.loads(path.read_text())
    assert len(kept["series"]) == len(kept["truth"]) == 3
    again = detector_bench.bench_runs(tmp_path, seeds=1, recipes=("digits",), say=said.append)
    assert again["rows"] == told["rows"]
    assert len(said) == 1
