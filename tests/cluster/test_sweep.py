"""Sweeps under a real Ray Tune: order of arrival, deaths and restarts change no result."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ganlib.cluster import TrialPlan, TrialResult, best, sweep
from ganlib.config import Asha, Budget, ClassifierConfig, SweepConfig
from ganlib.data import Dataset
from ganlib.errors import StageFailed, StorageError
from ganlib.training import Outcome, RunSpec
from tests.cluster import tiny
from tests.cluster.conftest import CLUSTER, small_classifier, spec_of

pytestmark = pytest.mark.usefixtures("ray_up")
CONFIG = SweepConfig(
    target="classifier",
    trials=4,
    concurrent=2,
    images=4_000,
    asha=Asha(grace_images=1_000, reduction=2),
)
RATES = (0.5, 1.0, 0.2, 1.5)


def plans(folder: Path, **wishes: list[str]) -> list[TrialPlan]:
    """Four trials; `t1=["die"]` is a wish of trial 1."""
    made = []
    for number, rate in enumerate(RATES):
        run = folder / f"t{number}"
        run.mkdir(parents=True)
        for wish in wishes.get(f"t{number}", []):
            (run / wish).touch()
        spec = RunSpec.of(
            ClassifierConfig(budget=Budget(images=CONFIG.images)),
            dataset_folder="/none",
            dataset_fingerprint="0",
            run_folder=str(run),
        )
        made.append(TrialPlan(number=number, overlay={"rate": rate}, spec=spec))
    return made


def told(results: list[TrialResult]) -> list[tuple[int, str, int, float | None]]:
    return [(r.number, r.reason, r.images, r.score) for r in results]


# By hand: 0 is alone; 1 and 3 lead at each rung; 2 is the last of three at 1,000 images.
EXPECTED = [
    (0, "budget", 4_000, 0.2),
    (1, "budget", 4_000, 0.4),
    (2, "stopped", 1_000, 0.02),
    (3, "budget", 4_000, pytest.approx(0.6)),
]


def test_a_late_trial_and_a_killed_one_change_nothing(tmp_path: Path):
    """Trial 0 cannot begin before trial 1 has died once."""
    made = plans(tmp_path / "runs", t0=["after-died"], t1=["die"])
    results = sweep(made, CONFIG, CLUSTER, tmp_path / "sweep", execute=tiny.climb)
    assert told(results) == EXPECTED
    assert best(results, CONFIG).number == 3
    table = pd.read_csv(tmp_path / "sweep" / "trials.csv")
    assert list(table["trial"]) == [0, 1, 2, 3]
    assert list(table["state"]) == ["budget", "budget", "stopped", "budget"]
    assert list(table["rate"]) == list(RATES)
    assert sorted(p.name for p in (tmp_path / "sweep").iterdir()) == [
        "results",
        "rungs",
        "trials.csv",
    ]


def test_a_trial_that_diverges_is_a_result_and_a_lost_one_is_no_obstacle(tmp_path: Path):
    cluster = CLUSTER.model_copy(update={"max_failures": 0})
    made = plans(tmp_path / "runs", t0=["die"], t1=["diverge"])
    results = sweep(made, CONFIG, cluster, tmp_path / "sweep", execute=tiny.climb)
    assert [r.reason for r in results] == ["lost", "diverged", "stopped", "budget"]
    again = sweep(made, CONFIG, cluster, tmp_path / "sweep", execute=tiny.climb)
    assert [r.reason for r in again] == ["budget", "diverged", "stopped", "budget"]


def full_disk(plan: TrialPlan, device: str, on_reading: tiny.OnReading) -> Outcome:
    raise StorageError("the disk is full", where="/x")


def test_a_full_disk_comes_back_as_itself_and_the_next_sweep_goes_on(tmp_path: Path):
    made = plans(tmp_path / "runs")
    with pytest.raises(StorageError, match="the disk is full"):
        sweep(made, CONFIG, CLUSTER, tmp_path / "sweep", execute=full_disk)
    assert not (tmp_path / "sweep" / "results").exists()


def broken(plan: TrialPlan, device: str, on_reading: tiny.OnReading) -> Outcome:
    raise ZeroDivisionError("a user's mistake")


def test_a_sweep_whose_trials_all_failed_runs_again_once_mended(tmp_path: Path):
    made = plans(tmp_path / "runs")
    with pytest.raises(StageFailed, match="a user's mistake"):
        sweep(made, CONFIG, CLUSTER, tmp_path / "sweep", execute=broken)
    mended = sweep(made, CONFIG, CLUSTER, tmp_path / "sweep", execute=tiny.climb)
    assert told(mended) == EXPECTED


def test_real_runs_of_a_real_sweep(tmp_path: Path, digits: Dataset):
    """Twice the same, at different widths; then answered from the folder without Ray."""
    config = CONFIG.model_copy(
        update={"images": 640, "trials": 3, "asha": Asha(grace_images=320, reduction=2)}
    )

    def trials(folder: Path) -> list[TrialPlan]:
        return [
            TrialPlan(
                number=n,
                overlay={"classifier.seed": n},
                spec=spec_of(small_classifier(seed=n), digits, folder / f"t{n}"),
            )
            for n in range(3)
        ]

    two = sweep(trials(tmp_path / "a"), config, CLUSTER, tmp_path / "a")
    one = sweep(
        trials(tmp_path / "b"),
        config.model_copy(update={"concurrent": 1}),
        CLUSTER,
        tmp_path / "b",
    )
    assert told(two) == told(one)
    assert two[0].reason == "budget"
    assert [r.readings for r in two] == [r.readings for r in one]
    assert Path(str(two[0].model), "weights.safetensors").exists()
    assert sweep(trials(tmp_path / "a"), config, CLUSTER, tmp_path / "a") == two
