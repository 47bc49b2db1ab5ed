"""An evaluation by Ray's workers, and one that finds what another found of the real images."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from ganlib.config import InceptionFeatures, overlay
from ganlib.data import Dataset
from ganlib.evaluation import ClassifierExtractor
from ganlib.evaluation.networks import RandomExtractor
from ganlib.stages import evaluate, sharing
from ganlib.stages.records import Work
from ganlib.stages.values import MetricRow
from ganlib.training import read_journal
from tests.stages.conftest import Trained


def rows(
    trained: Trained, candidate: Any = None, beside: tuple[str, ...] = ()
) -> dict[str, MetricRow]:
    """By metric; those of networks `beside` the judge by their name and metric."""
    config = overlay(trained.config, {"evaluation.extractors": ["judge", *beside]})
    made = evaluate.run(
        dataclasses.replace(trained.context(fresh=True), config=config),
        trained.dataset,
        trained.classifiers,
        candidate or trained.candidate,
    ).value
    return {
        row.metric if row.extractor.startswith("judge") else f"{row.extractor} {row.metric}": row
        for row in (*made.candidate.rows, *made.judge.rows)
    }


@pytest.fixture
def real_images(trained: Trained) -> set[bytes]:
    return known_images(trained)


def known_images(trained: Trained) -> set[bytes]:
    data = Dataset.open(Path(trained.dataset.folder), trained.dataset.fingerprint)
    splits = ("train", "validation", "test")
    return {one.numpy().tobytes() for split in splits for one in data.load(split).image_NHWC}


def test_a_second_evaluation_looks_at_no_real_image(
    trained: Trained, real_images: set[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[bytes] = []
    look = ClassifierExtractor.__call__

    def watching(extractor: ClassifierExtractor, image_NHWC: Any) -> Any:
        shown.extend(one.numpy().tobytes() for one in image_NHWC[torch.arange(len(image_NHWC))])
        return look(extractor, image_NHWC)

    monkeypatch.setattr(ClassifierExtractor, "__call__", watching)
    shutil.rmtree(trained.home.cache / "real", ignore_errors=True)
    first = rows(trained)
    assert real_images <= set(shown)
    shown.clear()
    assert rows(trained) == first
    assert len(shown) >= 2 * 200
    assert not real_images & set(shown)
    shown.clear()
    other = rows(trained, trained.generator(2_000))
    assert other["coverage"].floor == first["coverage"].floor
    assert other["coverage"].value != first["coverage"].value
    assert not real_images & set(shown)


def test_networks_beside_the_judge_look_at_no_real_image_twice(
    trained: Trained, real_images: set[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: set[bytes] = set()
    look = RandomExtractor.__call__

    def watching(extractor: RandomExtractor, image_NHWC: Any) -> Any:
        shown.update(one.numpy().tobytes() for one in image_NHWC[torch.arange(len(image_NHWC))])
        return look(extractor, image_NHWC)

    monkeypatch.setattr(RandomExtractor, "__call__", watching)
    shutil.rmtree(trained.home.cache / "real", ignore_errors=True)
    first = rows(trained, beside=("random",))
    assert len(real_images & shown) >= 2 * 200
    shown.clear()
    assert rows(trained, beside=("random",)) == first
    assert len(shown) >= 200
    assert not real_images & shown


def test_other_weights_in_the_same_file_are_kept_apart(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.pth"
    monkeypatch.setenv("GANLIB_INCEPTION", str(weights))
    context = trained.context(fresh=True)
    work = cast(Work, SimpleNamespace(context=context))
    folders = []
    for data in (b"some", b"others", b"some"):
        weights.write_bytes(data)
        settings = InceptionFeatures()
        folders.append(sharing.kept_beside(work, "abc", settings, "inception:pool", "cpu").folder)
    assert folders[0] == folders[2] != folders[1]


def here_only_real(trained: Trained) -> Callable[..., Any]:
    """Refuses to look at generated images in this process: workers do."""
    look = RandomExtractor.__call__
    known = known_images(trained)

    def looking(extractor: RandomExtractor, image_NHWC: Any) -> Any:
        assert {one.numpy().tobytes() for one in image_NHWC[torch.arange(len(image_NHWC))]} <= known
        return look(extractor, image_NHWC)

    return looking


@pytest.mark.slow
def test_workers_of_ray_find_what_one_process_finds(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(trained.config.cluster.threads)
    try:
        shutil.rmtree(trained.home.cache / "real", ignore_errors=True)
        alone = rows(trained, beside=("random",))
        shutil.rmtree(trained.home.cache / "real")
        monkeypatch.setattr(sharing, "FROM", 200)
        monkeypatch.setattr(RandomExtractor, "__call__", here_only_real(trained))
        shared = rows(trained, beside=("random",))
    finally:
        torch.set_num_threads(threads)
    assert shared.keys() == alone.keys()
    assert any(metric.startswith("random-") for metric in shared)
    for metric, row in shared.items():
        one = alone[metric]
        for name in ("value", "low", "high", "floor"):
            value = getattr(one, name)
            expected = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)
            assert getattr(row, name) == expected, (metric, name)
    notes = [
        line["text"]
        for path in trained.home.spool.glob("*.jsonl")
        for line in read_journal(path)
        if line["kind"] == "note"
    ]
    assert "evaluate: 200 images of each by 2 workers" in notes
    assert sum(note.startswith("worker ") for note in notes) >= 1
    assert not list(trained.home.runs.glob("*/shared"))
