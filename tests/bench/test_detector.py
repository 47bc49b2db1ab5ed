"""Published runs beside two simple rules of known figures; the account of runs of our own."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from ganlib.bench import collapses
from ganlib.bench.detector import CODE, account, bench_runs
from ganlib.bench.fitting import Known, Replays, configs
from ganlib.bench.mechanisms import BASES, MECHANISMS, learnt
from ganlib.bench.recorded import FILES, Recorded, Row, detector, fid_rule, read_logs, replay
from ganlib.bench.truth import Mark, truth_of
from ganlib.cli.main import main
from ganlib.collapse.signals import class_spread
from ganlib.config import DataConfig, DetectorConfig, load_recipe, overlay
from ganlib.data import Dataset, prepare
from ganlib.errors import ConfigError, DataError
from ganlib.stages.stamp import source_digest


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
    assert found["detector"] == (9, 0, 103)
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


def packed(folder: Path, **tables: str) -> Path:
    for name in FILES:
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(tables[name].encode()))
    return folder


RUNS = "run_id,collapsed_late,best_step,hours_total,hours_after_best\nr,1,4,2.0,1.0\n"
FID = "run_id,phase,step,train_s,fid\nr,train,4,3600,9.5\n"
LOSSES = "run_id,phase,step,train_s,d_loss,g_loss\nr,train,2,1800,1.5,\nr,resumed,3,9,7,7\n"


def test_logs_are_read_and_what_lacks_in_them_is_named(tmp_path: Path) -> None:
    (run,) = read_logs(packed(tmp_path, runs=RUNS, fid=FID, losses=LOSSES))
    assert run.rows == (
        Row(2, 0.5, {"losses/discriminator": 1.5}),
        Row(4, 1.0, {"distance/fid": 9.5}),
    )
    with pytest.raises(DataError, match="no column or run 'fid'"):
        read_logs(packed(tmp_path, runs=RUNS, fid=FID.replace(",fid", ",kid"), losses=LOSSES))
    with pytest.raises(DataError, match="no column or run 'other'"):
        read_logs(packed(tmp_path, runs=RUNS + "other,0,1,1,1\n", fid=FID, losses=LOSSES))
    with pytest.raises(DataError, match=r"cannot be read: .*'soon'"):
        read_logs(packed(tmp_path, runs=RUNS, fid=FID.replace("9.5", "soon"), losses=LOSSES))
    (tmp_path / "fid.csv.gz").write_bytes(gzip.compress(FID.encode())[:-12] + b"x" * 12)
    with pytest.raises(DataError, match=r"fid\.csv\.gz cannot be read"):
        read_logs(tmp_path)


def cell(
    scores: list[float], coverage: list[float], *, collapses: bool, name: str = "", **more: Any
) -> dict[str, Any]:
    """A run whose neighbour distance scores so, in units of its tolerance."""
    values = [{"pixels/neighbour_distance": math.exp(0.2 * score)} for score in scores]
    centre = {"pixels/neighbour_distance": 0.0}
    return {
        "dataset": "digits",
        "mechanism": name or "made up",
        "base": "as the recipe stands",
        "collapses": collapses,
        "seed": 0,
        "start": 0,
        "turn": 0,
        "images": 100 * len(scores),
        "series": [[100 * (n + 1), value] for n, value in enumerate(values)],
        "null": {"centre": centre, "spread": centre},
        "truth": [{"coverage": x, "classes": 1.0, "spread": 1.0} for x in coverage],
        "training_s": 10.0,
        "reading_s": 0.1,
        "cpu_s": 11.0,
        "load_average": 1.0,
    } | more


GOOD = cell([-9, -5, -2, -1, 0, 0, 0, 0], [0.1, 0.5, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9], collapses=False)
FALLS = ([-9, -5, -2, -1, 0, -9, -9, -9], [0.1, 0.5, 0.8, 0.9, 0.3, 0.1, 0.1, 0.1])
LATE = cell(*FALLS, collapses=True, turn=450)
UNSEEN = cell([0.0] * 8, [0.1] * 8, collapses=True)
HELD = cell([0.0] * 8, [0.1, 0.5, *[0.9] * 6], collapses=True)


def test_what_was_true_is_said_by_the_judge() -> None:
    assert truth_of(GOOD, Mark(), 300) == ("healthy", None)
    assert truth_of(LATE, Mark(), 300) == ("collapsed", 500)
    assert truth_of(UNSEEN, Mark(), 300) == ("collapsed", 300)
    assert truth_of(HELD, Mark(), 300) == ("neither", None)
    assert truth_of(GOOD, Mark(2.0), 300) == ("neither", None)
    assert truth_of(UNSEEN | {"start": 400}, Mark(), 300) == ("collapsed", 500)
    for lack in ("classes", "spread"):
        judged = {"coverage": 0.9, "classes": 1.0, "spread": 1.0, lack: 0.2}
        assert truth_of({**GOOD, "truth": [judged] * 8}, Mark(), 300) == ("neither", None)
    narrow = {**GOOD, "truth": [{"coverage": 0.9, "classes": 1.0, "spread": 0.4}] * 8}
    assert truth_of(narrow, Mark(), 300) == ("neither", None)
    assert truth_of(narrow, Mark(spread=0.6), 300) == ("healthy", None)


def test_recall_false_alarms_and_delay_are_counted() -> None:
    diverged = {"dataset": "digits", "mechanism": "made up", "seed": 1, "diverged": "nan"}
    told = account([GOOD, GOOD, LATE, UNSEEN, HELD, diverged])
    assert (told["collapsed"], told["healthy"], told["left_out"], told["diverged"]) == (2, 2, 1, 1)
    assert (told["recall"], told["false_alarm_rate"]) == (0.5, 0.0)
    assert told["delay"] == pytest.approx((700 - 500) / 800)
    assert told["recall_interval"] == pytest.approx([0.01258, 0.98742], abs=1e-4)
    assert told["false_alarm_interval"] == pytest.approx([0, 1 - 0.025**0.5])
    assert told["by_mechanism"]["made up"]["recall"] == told["default"]["recall"] == 0.5
    assert [row["truth"] for row in told["rows"]].count("neither") == 1
    assert not told["passed"]


def test_what_can_be_had_is_said_by_healthy_runs_of_the_same_base() -> None:
    low = cell([0.0] * 8, [0.1, *[0.4] * 7], collapses=False)
    told = account([GOOD, low])
    assert told["left_out"] == 1
    told = account([GOOD, low | {"base": "without classes"}])
    assert (told["healthy"], told["left_out"]) == (2, 0)


def test_of_what_goes_on_from_a_run_that_is_not_healthy_nothing_is_known() -> None:
    base = "as the recipe stands"
    unsound = cell([0.0] * 8, [*[0.9] * 5, 0.1, 0.1, 0.1], collapses=False, name=base, seed=1)
    later = [LATE | {"start": 400, "seed": seed} for seed in (0, 1)]
    told = account([GOOD | {"mechanism": base}, unsound, *later])
    assert (told["collapsed"], told["healthy"], told["left_out"]) == (1, 1, 2)


def test_thresholds_may_be_fitted_on_runs_of_other_seeds() -> None:
    """A fall of 4.5 that only an alarm of 4 tells, learnt from others of its kind elsewhere."""
    shallow = ([-1, -1, -1, -1, 0, -4.5, -4.5, -4.5], FALLS[1])
    mine = cell(*shallow, collapses=True, turn=450)
    others = [
        cell(*shallow, collapses=True, turn=450, name="other", dataset="mnist", seed=seed)
        for seed in range(1, 5)
    ]
    assert account([GOOD, mine])["recall"] == 0
    told = account([GOOD, mine], others)
    assert told["recall"] == 1
    assert told["fitted_on"] == {"runs": 4, "seeds": [1, 2, 3, 4]}


def test_runs_to_fit_on_are_there_and_of_other_seeds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no runs"):
        bench_runs(tmp_path / "out", seeds=1, minutes=0, fit=tmp_path)
    kept = tmp_path / f"runs-{source_digest(CODE)}" / "digits" / "one" / "cell.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps(GOOD | {"seed": 4_000}))
    with pytest.raises(ConfigError, match="runs of seed 4000, which is asked about"):
        bench_runs(tmp_path / "out", seeds=1, minutes=0, fit=tmp_path)
    told = bench_runs(tmp_path / "out", seeds=1, first=5_000, minutes=0, fit=tmp_path)
    assert told["fitted_on"] == {"runs": 1, "seeds": [4_000]}


def test_an_alarm_before_anything_was_wrong_is_no_hit() -> None:
    told = account([GOOD, LATE | {"turn": 700}])
    assert (told["default"]["recall"], told["default"]["early"]) == (0.0, 1)


def test_a_run_that_goes_on_is_told_from_where_it_begins() -> None:
    """What was alarmed of before, another run answers for; the delay is a share of its own part."""
    fallen = ([*[0.0] * 6, -9, -9, *[0.0] * 4], [0.9] * 12)
    recovered = cell(*fallen, collapses=False)
    assert account([recovered])["default"]["false_alarm_rate"] == 1
    assert account([recovered | {"start": 1_100}])["default"]["false_alarm_rate"] == 0
    goes_on = cell(*FALLS, collapses=True, turn=450, start=400)
    assert account([goes_on])["default"]["delay"] == pytest.approx(200 / 400)


def test_thresholds_are_fitted_without_the_mechanism_and_without_the_dataset() -> None:
    """Falls of 4.5 are told by an alarm of 4, which the runs of others alone can say."""
    shallow = ([-1, -1, -1, -1, 0, -4.5, -4.5, -4.5], FALLS[1])
    mine = cell(*shallow, collapses=True, turn=450, name="mine")
    other = cell(*shallow, collapses=True, turn=450, name="other", dataset="mnist")
    alike = [cell(*FALLS, collapses=True, turn=450, name=name) for name in ("mine", "other")]

    def hits(*cells: dict[str, Any]) -> list[bool]:
        replays = Replays.of([Known(one, "collapsed", 500) for one in cells])
        return [replays.told[choice][n].hit for n, choice in enumerate(replays.left_out())]

    assert hits(mine, other, *alike) == [True, True, True, True]
    assert hits(mine, mine, *alike)[:2] == [False, False]
    replays = Replays.of([Known(mine, "collapsed", 500)])
    assert replays.choices[replays.fitted()].alarm == 4
    assert configs()[0] == DetectorConfig()


@pytest.fixture(scope="module")
def digits_set(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(DataConfig(), tmp_path_factory.mktemp("digits"), workers=1)


def test_what_is_learnt_of_each_mechanism(digits_set: Dataset) -> None:
    everyone = digits_set.load("train")
    assert learnt(everyone, 10, "all", 0) is everyone
    few = learnt(everyone, 10, "few", 0)
    assert few.label_N.bincount().tolist() == [2] * 10
    assert not few.image_NHWC.equal(learnt(everyone, 10, "few", 1).image_NHWC)
    assert 3 not in learnt(everyone, 10, "dropped", 13).label_N
    narrow = learnt(everyone, 10, "narrow", 0)
    assert narrow.label_N.bincount().tolist() == [5] * 10
    spread = [
        class_spread(images.image_NHWC.flatten(1), images.label_N, 10).sum()
        for images in (narrow, everyone)
    ]
    assert spread[0] < 0.6 * spread[1]


def test_every_mechanism_makes_a_gan_that_can_be_trained() -> None:
    for name, mechanism in MECHANISMS.items():
        gan = overlay(load_recipe("digits").gan, {**collapses.GAN, **mechanism.changes})
        overlay(gan, mechanism.later)
        assert mechanism.in_data <= mechanism.turns <= mechanism.collapses
        assert mechanism.goes_on in ("", *BASES)
        assert 4 <= mechanism.turn(7, 20) <= 8, name
    assert sum(mechanism.collapses for mechanism in MECHANISMS.values()) == 7


def test_runs_are_kept_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A healthy run and one that goes on from it, on real digits, shortened."""
    small = {"budget.images": 384, "generator.network.width": 8, "discriminator.network.width": 8}
    short = {"classifier.budget.images": 1_280}
    scene = collapses.Scene("digits", short, {**collapses.GAN, **small})
    monkeypatch.setitem(collapses.SCENES, "digits", scene)
    monkeypatch.setattr(collapses, "READINGS", 3)
    monkeypatch.setattr(collapses, "OWN", 128)
    for name in set(MECHANISMS) - {"as the recipe stands", "few images"}:
        monkeypatch.delitem(MECHANISMS, name)
    said: list[str] = []

    def bench(**more: Any) -> dict[str, Any]:
        return bench_runs(tmp_path, seeds=1, datasets=("digits",), say=said.append, **more)

    assert bench(minutes=0)["rows"] == []
    told = bench()
    assert {row["mechanism"] for row in told["rows"]} == {"as the recipe stands", "few images"}
    assert len(said) == told["asked"] == 2
    (folder,) = tmp_path.glob("runs-*/digits")
    first, second = (
        json.loads((folder / name / "cell.json").read_text())
        for name in ("as-the-recipe-stands-4000", "few-images-4000")
    )
    assert (len(first["series"]), len(second["series"])) == (3, 6)
    assert second["series"][:3] == first["series"]
    assert (second["start"], second["images"]) == (384, 768)
    assert Path(second["picture"]).read_bytes()[:4] == b"\x89PNG"
    assert bench()["rows"] == told["rows"]
    assert len(said) == 2
    twice = bench_runs(tmp_path, seeds=1, datasets=("digits", "digits"))
    assert (twice["asked"], twice["rows"]) == (2, told["rows"])


def test_what_few_runs_speak_for_by_chance_is_not_chosen() -> None:
    """One of sixty that a lower alarm alone tells is less than a standard error."""
    shallow = ([-1, -1, -1, -1, 0, -4.5, -4.5, -4.5], FALLS[1])
    cells = [cell(*FALLS, collapses=True, turn=450, name=f"run {n}") for n in range(60)]
    cells.append(cell(*shallow, collapses=True, turn=450, name="shallow"))
    replays = Replays.of([Known(one, "collapsed", 500) for one in cells])
    assert replays.fitted() == 0
