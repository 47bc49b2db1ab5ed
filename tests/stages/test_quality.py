"""`ganlib data check` on planted faults, against other data and on hostile folders."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from ganlib import api
from ganlib.bench import check
from ganlib.bench.check import scores, write_digits
from ganlib.bench.planted import Planted, plant
from ganlib.cli.main import main
from ganlib.config import PipelineConfig, load, overlay
from ganlib.data import prepare
from ganlib.errors import ConfigError, DataError, NotFound
from ganlib.stages import pipelines
from ganlib.stages import quality as stage
from ganlib.stages.context import Context
from ganlib.stages.findings import ABOUT_CLASSES, KINDS, Finding, Findings, look
from ganlib.storage import Home

COLUMNS = ["finding", "file", "split", "class", "other_file", "score", "suggestion"]


def config_of(folder: Path, **changes: object) -> PipelineConfig:
    small = {"data.size": 16, "data.channels": 1, "classifier.distortion.flip": False}
    return overlay(load(str(folder)), small | changes)


def context(home: Path, config: PipelineConfig) -> Context:
    place = Home.open(home)
    run = pipelines.begin(place, config, command="data check")
    return Context(place, config, run)


def rows(folder: Path, root: Path) -> list[dict[str, object]]:
    found, _, _ = look(prepare(config_of(folder).data, root, workers=1), mirrored=False)
    return found.to_frame().to_dict(orient="records")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "digits"
    write_digits(folder, count=500, side=24)
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    folder = tmp_path_factory.mktemp("planted") / "planted"
    write_digits(folder, count=500, side=24)
    return folder, plant(folder, 31, each=8)


def test_what_was_planted_is_found(
    digits: Path, planted: tuple[Path, Planted], tmp_path: Path
) -> None:
    folder, faults = planted
    told = scores(faults, rows(digits, tmp_path), rows(folder, tmp_path))
    assert told["copies"]["recall"] >= 0.7
    assert told["copies"]["recall_by_kind"]["exact"] == 1
    assert told["copies"]["precision"] >= 0.7
    assert told["copies"]["precision_own_wrong"] >= 0.7
    assert told["leaks"]["recall"] >= 0.7
    assert told["leaks"]["precision_own_wrong"] >= 0.7
    assert told["label_errors"]["recall"] >= 0.6
    assert told["label_errors"]["precision"] >= 0.6
    assert told["outliers"]["recall"] >= 0.5
    assert told["outliers"]["precision_own_wrong"] >= 0.5


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mirror_image_is_of_the_same_class_where_images_may_be_flipped_alone(
    mirrored: bool, tmp_path: Path
) -> None:
    digits = load_digits().images
    for place, image in enumerate(digits[:60]):
        left = Image.fromarray((image * 15).astype("uint8")).resize((32, 32))
        for name, turned in (("left", left), ("right", ImageOps.mirror(left))):
            path = tmp_path / "arrows" / name / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            turned.save(path)
    data = prepare(config_of(tmp_path / "arrows", **{"data.size": 32}).data, tmp_path, workers=1)
    kinds = look(data, mirrored=mirrored)[0].to_frame()["finding"].value_counts()
    assert kinds["mirrored_duplicate"] > 30
    assert (kinds.get("label_conflict", 0) > 30) == mirrored


def test_planting_repeats_by_seed_and_uses_no_image_twice(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        write_digits(tmp_path / name, count=150)
        made.append(plant(tmp_path / name, 5, each=3))
    assert vars(made[0]) == vars(made[1])
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 150 + 5 * 3 + 3 + 3
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    used = [original for original, _ in made[0].pairs()] + list(made[0].moved.values())
    assert len(set(used)) == len(used) == 5 * 3 + 3 + round(0.05 * 150)


def test_scores_by_hand() -> None:
    faults = Planted(
        copies={"exact": [("train/a/1", "train/a/2")], "resized": [("train/a/3", "train/a/4")]},
        leaks=[("test/a/1", "train/a/leak")],
        wrong={"train/b/moved-a-9": "a"},
        moved={"train/b/moved-a-9": "train/a/9"},
        outliers=["train/a/odd"],
    )

    def row(finding: str, file: str, other: str = "", said: str = "") -> dict[str, object]:
        made = Finding(finding=finding, file=file, other_file=other, suggestion=said)
        return {"class": made.label, **made.model_dump(exclude={"label"})}

    before = [row("near_duplicate", "train/a/9", "train/a/8")]
    found = [
        row("near_duplicate", "train/b/moved-a-9", "train/a/8"),
        row("exact_duplicate", "train/a/2", "train/a/1"),
        row("near_duplicate", "train/a/5", "train/a/6"),
        row("leakage", "test/a/1", "train/a/leak"),
        row("label_error", "train/b/moved-a-9", said="looks like a: look at it"),
        row("label_error", "train/b/7", said="looks like a: look at it"),
        row("blank", "train/a/odd"),
    ]
    told = scores(faults, before, found)
    assert (told["copies"]["recall"], told["copies"]["precision"]) == (0.5, 0.5)
    assert told["copies"]["wrong"] == [["train/a/5", "train/a/6"]]
    assert (told["leaks"]["recall"], told["leaks"]["precision"]) == (1, 1)
    assert (told["label_errors"]["recall"], told["label_errors"]["precision"]) == (1, 0.5)
    assert told["label_errors"]["right_class_named"] == 1
    assert (told["outliers"]["recall"], told["outliers"]["precision"]) == (1, 1)
    assert [told[part]["own"] for part in ("copies", "leaks", "outliers")] == [1, 0, 0]
    assert told["copies"]["precision_own_right"] == pytest.approx(2 / 3)
    assert told["copies"]["precision_own_wrong"] == pytest.approx(1 / 3)


def test_what_is_invented_in_the_untouched_set_shows_in_a_precision() -> None:
    """A check that takes a thousand pairs and pictures for copies, leaks and outliers anyway."""
    faults = Planted(
        copies={"exact": [("train/a/1", "train/a/2")]},
        leaks=[("test/a/1", "train/a/leak")],
        outliers=["train/a/odd"],
    )

    def row(finding: str, file: str, other: str = "") -> dict[str, object]:
        return Finding(finding=finding, file=file, other_file=other).model_dump()

    before = [
        made
        for n in range(999)
        for made in (
            row("near_duplicate", f"train/b/{n}", f"test/b/{n}"),
            row("leakage", f"test/b/{n}", f"train/b/{n}"),
            row("outlier", f"train/c/{n}"),
        )
    ]
    found = [
        *before,
        row("exact_duplicate", "train/a/2", "train/a/1"),
        row("leakage", "test/a/1", "train/a/leak"),
        row("outlier", "train/a/odd"),
    ]
    told = scores(faults, before, found)
    for part in ("copies", "leaks", "outliers"):
        assert told[part]["own"] == 999
        assert told[part]["precision"] == told[part]["precision_own_right"] == 1
        assert told[part]["precision_own_wrong"] == 0.001
    shown = check._pair(told["copies"])
    assert shown == (
        "recall 1.000, precision 1.000 (1.000 with the untouched set's own as right, "
        "0.001 as wrong)"
    )
    assert check._mean([told["copies"]] * 2)["precision_own_wrong"] == pytest.approx(0.001)


def test_a_copy_of_an_own_copy_is_right_only_if_own_findings_are() -> None:
    faults = Planted(copies={"exact": [("train/a/1", "train/a/2")]})

    def row(one: str, other: str) -> dict[str, object]:
        return Finding(finding="near_duplicate", file=one, other_file=other).model_dump()

    own = row("train/a/0", "train/a/1")
    found = [own, row("train/a/1", "train/a/2"), row("train/a/0", "train/a/2")]
    told = scores(faults, [own], found)["copies"]
    assert (told["precision"], told["precision_own_right"]) == (1, 1)
    assert told["precision_own_wrong"] == pytest.approx(1 / 3)


def test_the_stage_writes_table_and_pictures_and_is_reused(
    planted: tuple[Path, Planted], tmp_path: Path
) -> None:
    config = config_of(planted[0])
    made = stage.run(context(tmp_path, config))
    checked = made.value
    csv, parquet = pd.read_csv(checked.table), pd.read_parquet(checked.parquet)
    assert list(csv.columns) == list(parquet.columns) == COLUMNS
    assert len(csv) == len(parquet) == checked.found > 0
    assert csv["finding"].value_counts().to_dict() == {
        k: n for k, n in checked.findings.items() if n
    }
    assert {"duplicates", "leaks", "label_errors"} <= set(checked.pictures)
    for path in checked.pictures.values():
        with Image.open(path) as image:
            image.verify()
    assert stage.run(context(tmp_path, config)).reused
    (planted[0] / "train" / "digit-0" / "torn.png").write_bytes(b"\x89PNG torn")
    again = stage.run(context(tmp_path, config))
    (planted[0] / "train" / "digit-0" / "torn.png").unlink()
    assert not again.reused
    assert again.value.findings["unreadable"] == 1


def test_a_network_looks_for_wrong_labels_in_place_of_patches(
    planted: tuple[Path, Planted], tmp_path: Path
) -> None:
    config = config_of(planted[0])
    by_patches = stage.run(context(tmp_path, config)).value
    done = stage.run(context(tmp_path, config), features="random")
    assert not done.reused
    found, faults = pd.read_csv(done.value.table), planted[1]
    assert by_patches.accuracy != done.value.accuracy
    assert done.value.accuracy is not None
    assert done.value.accuracy > 0.7
    suspected = set(found[found["finding"] == "label_error"]["file"])
    assert len(suspected & set(faults.wrong)) >= 0.5 * len(faults.wrong)
    assert {k: n for k, n in done.value.findings.items() if k != "label_error"} == {
        k: n for k, n in by_patches.findings.items() if k != "label_error"
    }
    assert stage.run(context(tmp_path, config), features="random").reused


@pytest.mark.parametrize(("right", "by"), [(True, "pretrained"), (False, "patches")])
def test_unasked_colour_images_are_judged_by_what_their_labels_agree_with(
    right: bool, by: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that tells the classes apart, or nothing at all, in place of the pretrained one."""
    config = config_of(digits, **{"data.channels": 3})
    data = prepare(config.data, tmp_path / "data", workers=1)
    known = {
        image.numpy().tobytes(): int(label)
        for split in ("train", "validation", "test")
        for image, label in zip(*vars(data.load(split)).values(), strict=True)
    }

    def see(image_NHWC: Any) -> torch.Tensor:
        label_N = [known[one.numpy().tobytes()] for one in image_NHWC[:]] if right else [0]
        told = torch.nn.functional.one_hot(torch.tensor(label_N), 10).float()
        return told.expand(len(image_NHWC), 10) + 0.01 * torch.rand(len(image_NHWC), 10)

    monkeypatch.setattr(stage, "_seeing", lambda network, channels: network and see)
    made = stage.run(context(tmp_path, config)).value
    assert by in made.features
    assert by in dict(stage.summary(made))["classifier, cross-validated"]


def test_grey_images_and_many_are_not_shown_to_a_network_unasked(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(stage, "_seeing", lambda network, channels: asked.append(network))
    assert stage.run(context(tmp_path, config_of(digits))).value.features == "patches"
    monkeypatch.setattr(stage, "MOST_UNASKED", 499)
    stage.run(context(tmp_path, config_of(digits, **{"data.channels": 3})))
    assert asked == [None, None]


def test_a_network_that_is_not_there_is_refused_before_anything_is_prepared(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GANLIB_INCEPTION", raising=False)
    with pytest.raises(ConfigError, match="--features asks for inception: GANLIB_INCEPTION"):
        stage.run(context(tmp_path, config_of(digits)), features="inception")
    assert not list(Home.open(tmp_path).stages.iterdir())


def test_drift_against_another_folder_and_not_against_a_copy(digits: Path, tmp_path: Path) -> None:
    odd = tmp_path / "inverted"
    for path in sorted(digits.rglob("*.png")):
        target = odd / path.relative_to(digits)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            Image.fromarray(255 - np.asarray(image)).save(target)
    config = config_of(digits)
    found = stage.run(context(tmp_path / "home", config), str(odd)).value
    assert found.against is not None
    assert found.against.accuracy is not None
    assert found.against.accuracy > 0.95
    assert found.findings["drift"] == 1
    assert "most_foreign" in found.pictures
    same = stage.run(context(tmp_path / "home", config), str(digits)).value
    assert same.findings["drift"] == 0


def test_the_champion_is_asked_for_and_there_is_none(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="digits-generator has no champion"):
        stage.run(context(tmp_path, config_of(digits)), "champion")


def test_the_champions_images(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ganlib import tracking

    config = config_of(digits)
    home = Home.open(tmp_path)
    known = prepare(config.data, home.data, workers=1).fingerprint
    monkeypatch.setattr(tracking, "champion_dataset", lambda home, name: known)
    found = stage.run(context(tmp_path, config), "champion").value
    assert found.against is not None
    assert found.against.fingerprint == known
    monkeypatch.setattr(tracking, "champion_dataset", lambda home, name: "0" * 16)
    with pytest.raises(NotFound, match="not in"):
        stage.run(context(tmp_path, config), "champion")


def test_every_kind_of_finding_is_counted() -> None:
    found = Findings(rows=[Finding(finding=kind) for kind in KINDS])
    assert found.counts() == dict.fromkeys(KINDS, 1)
    assert list(Findings().to_frame().columns) == COLUMNS


def small(folder: Path, counts: dict[str, int]) -> Path:
    random = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


HOSTILE = {
    "empty": ({}, "holds no images"),
    "one class and loose images": ({"cat": 8, ".": 2}, "only one class"),
    "a class of one": ({"cat": 8, "dog": 1}, "class 'dog' has 1 usable image"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_folders_that_cannot_be_used_say_why(case: str, tmp_path: Path) -> None:
    counts, said = HOSTILE[case]
    folder = tmp_path / "images"
    folder.mkdir()
    with pytest.raises(DataError, match=said):
        stage.run(context(tmp_path / "home", config_of(small(folder, counts))))


def test_without_classes_nothing_is_said_of_labels(tmp_path: Path) -> None:
    folder = small(tmp_path / "images", {".": 40})
    shutil.copy(folder / "0.png", folder / "again.png")
    config = config_of(folder)
    done = stage.run(context(tmp_path / "home", config))
    found = done.value
    assert found.findings["exact_duplicate"] == 1
    assert not set(ABOUT_CLASSES) & set(found.findings)
    assert found.accuracy is None
    assert ("labels and balance", "not looked at: the images have no classes") in stage.summary(
        found
    )
    table = pd.read_csv(found.table)
    assert list(table.columns) == COLUMNS
    assert table["class"].isna().all()
    with pytest.raises(ConfigError, match="looks for wrong labels, and the images have no classes"):
        stage.run(context(tmp_path / "home", config), features="random")


def test_the_smallest_set_that_can_be_prepared_is_checked(tmp_path: Path) -> None:
    folder = small(tmp_path / "images", {"cat": 3, "dog": 3})
    found = stage.run(context(tmp_path / "home", config_of(folder))).value
    assert found.images == 6
    assert found.accuracy is None
    assert found.findings["imbalance"] == 2  # fewer than 20 images each
    against = stage.run(context(tmp_path / "home", config_of(folder)), str(folder)).value.against
    assert against is not None
    assert against.accuracy is None


@pytest.mark.slow
def test_the_command_ends_with_0_and_strictly_with_3(
    planted: tuple[Path, Planted], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["data", "check", str(planted[0]), "--home", str(tmp_path), "--set", "data.size=16"]
    assert main(given) == 0
    assert "findings.csv" in capfd.readouterr().out
    assert main([*given, "--strict", "--json"]) == 3
    assert '"schema": "ganlib.data.check/1"' in capfd.readouterr().out
    assert api.check_data(overlay(load(str(planted[0])), {"data.size": 16}), home=tmp_path).reused
