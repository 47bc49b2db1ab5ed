"""Published runs replayed: the two simple rules' figures are known, and ours beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganlib.bench.recorded import Recorded, Row, detector, fid_rule, read_logs, replay
from ganlib.cli.main import main
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
