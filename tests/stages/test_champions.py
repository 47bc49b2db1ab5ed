"""Where a night begins: at the champion's last snapshot, at where it began, or at nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from ganlib import tracking
from ganlib.config import PipelineConfig, load, overlay
from ganlib.errors import StorageError
from ganlib.stages import champions, pipelines
from ganlib.stages.records import Record
from ganlib.stages.values import Candidate, DatasetRef, ModelRef
from ganlib.storage import Home, LocalStore, write_json
from ganlib.training import Journal, RunIdentity
from ganlib.training.snapshots import Snapshots

IMAGES, MORE = 6_400, 2_000
CONFIG: PipelineConfig = overlay(load("digits"), {"gan.budget.images": IMAGES})
TONIGHT = overlay(CONFIG, {"gan.budget.images": MORE})


class Champion:
    """A home whose GAN was trained on `old` images, and a registry that calls it champion."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Home.open(root / "home")
        self.print = "f" * 16
        self.trained(self.print, "old", IMAGES)
        monkeypatch.setattr(tracking, "champion_dataset", lambda home, name: "old")
        monkeypatch.setattr(tracking, "fetch", lambda home, uri: self.home.runs)
        monkeypatch.setattr(champions, "model_fingerprint", lambda folder: self.print)

    def trained(self, fingerprint: str, dataset: str, images: int, origin: str = "") -> str:
        """A finished training with two snapshots; its run."""
        pipeline = pipelines.begin(self.home, CONFIG, command=f"run {fingerprint}")
        run, folder = f"{pipeline}.gan-{fingerprint[:8]}", self.home.runs / f"gan-{fingerprint}"
        identity = RunIdentity(
            id=run,
            key=f"{pipeline}/1",
            parent_id=pipeline,
            experiment="e",
            name="gan",
            stage="gan",
            tags={"ganlib.folder": str(folder)},
        )
        Journal(pipelines.journal_path(self.home, run), identity)
        belongs = {"config": CONFIG.gan.model_dump(mode="json")}
        for clock in (images - 640, images):
            Snapshots(LocalStore(folder / "snapshots")).save(clock, {}, belongs, {})
        model = ModelRef(
            kind="generator",
            folder=str(folder / "model"),
            fingerprint=fingerprint,
            run=run,
            images=images,
            reason="budget",
            metrics={},
        )
        made = Candidate(model=model, overlay={}, config=CONFIG.gan.model_dump(mode="json"))
        values: dict[str, Any] = {"dataset": dataset}
        if origin:
            values["origin"] = {"name": origin, "settings": "x"}
        record = Record(
            stage="gan",
            label="gan",
            key=fingerprint,
            version=1,
            parts={},
            values=values,
            result=made.model_dump(mode="json"),
            seconds=1.0,
            finished=1.0,
            pipeline_id=pipeline,
            run=run,
        )
        path = self.home.stages / fingerprint / "record.json"
        write_json(path, record.model_dump(mode="json"))
        return run


def images(fingerprint: str) -> DatasetRef:
    return DatasetRef(
        folder="/nowhere",
        fingerprint=fingerprint,
        size=8,
        channels=1,
        classes=("a", "b"),
        counts={},
    )


@pytest.fixture
def champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Champion:
    return Champion(tmp_path, monkeypatch)


def test_new_images_are_gone_on_with_from_its_last_snapshot(champion: Champion) -> None:
    found = champions.start(champion.home, TONIGHT, images("new"))
    assert found is not None
    assert found.origin.endswith(f".gan-ffffffff@{IMAGES}")
    assert found.config.gan == overlay(CONFIG, {"gan.budget.images": IMAGES + MORE}).gan
    assert found.config.sweep == TONIGHT.sweep


def test_its_own_images_are_trained_on_as_ever_unless_always(champion: Champion) -> None:
    assert champions.start(champion.home, TONIGHT, images("old")) is None
    again = champions.start(champion.home, TONIGHT, images("old"), always=True)
    assert again is not None
    assert again.origin.endswith(f"@{IMAGES}")


def test_one_that_went_on_itself_is_found_again_by_where_it_began(champion: Champion) -> None:
    first = champions.start(champion.home, TONIGHT, images("new"))
    assert first is not None
    champion.print = "e" * 16
    champion.trained(champion.print, "new", IMAGES + MORE // 128 * 128, first.origin)
    assert champions.start(champion.home, TONIGHT, images("new")) == first  # so it is reused
    newer = champions.start(champion.home, TONIGHT, images("newer"))
    assert newer is not None
    assert newer.origin.endswith(f".gan-eeeeeeee@{IMAGES + MORE // 128 * 128}")


@pytest.mark.parametrize("lost", ["snapshots", "record"])
def test_what_is_not_here_is_said_and_begun_anew(
    champion: Champion, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    import shutil

    gone = {"snapshots": champion.home.runs / f"gan-{champion.print}" / "snapshots",
            "record": champion.home.stages / champion.print}  # fmt: skip
    shutil.rmtree(gone[lost])
    with caplog.at_level(logging.WARNING, "ganlib.flows"):
        assert champions.start(champion.home, TONIGHT, images("new")) is None
    assert "training begins anew" in caplog.text


def test_images_of_another_size_are_said_and_begun_anew(
    champion: Champion, caplog: pytest.LogCaptureFixture
) -> None:
    """And not refused hours later, when the classifiers have been trained, night after night."""
    larger = overlay(TONIGHT, {"data.size": 16})
    with caplog.at_level(logging.WARNING, "ganlib.flows"):
        assert champions.start(champion.home, larger, images("new")) is None
    assert "training begins anew: data.size is 16" in caplog.text


def test_without_a_champion_training_is_as_ever(
    champion: Champion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "champion_dataset", lambda home, name: None)
    assert champions.start(champion.home, TONIGHT, images("new")) is None

    def away(home: Home, name: str) -> str:
        raise StorageError("MLflow is away")

    monkeypatch.setattr(tracking, "champion_dataset", away)
    assert champions.start(champion.home, TONIGHT, images("new")) is None
