"""`ganlib run FOLDER` on photographs without classes: Prefect, Ray, Tune and MLflow for real."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_pipeline import Place, stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

STAGES = ["prepare", "sweep", "gan", "evaluate", "promote"]
TINY = {
    "data.test_fraction": 0.3,
    "gan.generator.network.width": 8,
    "gan.discriminator.network.width": 8,
    "gan.budget.images": 2_000,
    "gan.cadence.report": 500,
    "gan.cadence.evaluate": 1_000,
    "gan.cadence.sample": 1_000,
    "gan.cadence.snapshot": 1_000,
    "sweep.trials": 2,
    "sweep.images": 1_000,
    "sweep.asha.grace_images": 500,
    "evaluation.samples": 50,
    "evaluation.repeats": 2,
    "promotion.min_relative_coverage": 0,
    "promotion.max_scaled_distance": 1_000,
}
CHANGES = [word for path, value in TINY.items() for word in ("--set", f"{path}={value}")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, test_data: Path) -> Place:
    """Every 24th of the flower photographs, in one folder; no network is asked for anything.

    EfficientNet looks at each of them, and at as many generated ones.
    """
    folder = tmp_path_factory.mktemp("unlabelled")
    images = folder / "flowers"
    images.mkdir()
    with zipfile.ZipFile(test_data / "flowers5" / "flowers5_128.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        for number, name in enumerate(names[::24]):
            (images / f"{number:04d}.jpg").write_bytes(archive.read(name))
    return Place(folder / "home", images, limit=800)


@pytest.fixture(scope="module")
def first(place: Place) -> dict[str, Any]:
    return place.run(*CHANGES)


@pytest.mark.data
def test_a_flat_folder_becomes_a_promoted_model(place: Place, first: dict[str, Any]) -> None:
    assert first["exit"] == 0, first["stderr"]
    assert "the images have no classes: no classifier is trained, pretrained-" in first["stderr"]
    result = first["result"]
    assert [stage["stage"] for stage in result["stages"]] == STAGES
    decision = result["decision"]
    assert (decision["verdict"], decision["judge"]) == ("promoted", None)
    assert "were not asked about" in decision["reasons"][-1]
    assert "champion" in decision["generator"]["aliases"]
    assert "classifiers" not in result
    judge = result["networks"]["judge"]
    assert judge["settings"] == {"kind": "pretrained"}
    assert result["evaluation"]["candidate"]["judge"] == judge["fingerprint"]
    assert result["evaluation"]["candidate"]["extractor"] == "efficientnet-lite0:pool"
    assert not {"judge_accuracy", "label_agreement", "classes_present"} & set(result["metrics"])
    assert Path(result["report"]).read_text().startswith("<!doctype html>")
    gan = result["candidate"]["model"]["metrics"]
    assert "coverage" in gan
    assert "label_agreement" not in gan


@pytest.mark.data
def test_the_registry_knows_no_classifier_and_no_run_lies(
    place: Place, first: dict[str, Any]
) -> None:
    now = place.ganlib("status")["result"]
    assert {model["name"] for model in now["models"]} == {"flowers-generator"}
    assert {run["state"] for run in now["runs"]} == {"finished"}
    assert not [run for run in now["runs"] if run["stage"] == "classifiers"]
    keys = {row[0] for row in place.mlflow("SELECT DISTINCT key FROM metrics")}
    assert {"eval/coverage", "test_coverage"} <= keys
    assert not [k for k in keys if "agreement" in k or "classes" in k or k.startswith("judge_")]
    assert not place.mlflow("SELECT key FROM metrics WHERE is_nan = 1")


@pytest.mark.data
def test_the_same_again_is_reused_and_can_be_used(
    place: Place, first: dict[str, Any], tmp_path: Path
) -> None:
    again = place.run(*CHANGES)
    assert again["exit"] == 0, again["stderr"]
    assert all(stages(again).values()), stages(again)
    told = place.ganlib("status", str(place.recipe), *CHANGES, "--why", "classifiers")["result"]
    assert "no classifier is trained" in told["reason"]
    made = place.ganlib("sample", "flowers", "--count", "4", "--out", str(tmp_path))["result"]
    assert made["classes"] == ["unlabelled"]
    refused = place.ganlib("predict", "flowers", str(place.recipe))
    assert refused["exit"] == 2
    assert "no classes" in refused["error"]["hint"]
