"""Folders: layouts, links, clutter, and every way in which one cannot be used."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ganlib.config import DataConfig, Unlabelled
from ganlib.data import prepare, source_state
from ganlib.data.sources.folder import FolderSource
from ganlib.errors import DataError
from ganlib.storage import Home
from tests.data.conftest import MakeFolder, folder_config


def test_classes_are_the_subfolders(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=3, each=5)
    dataset = prepare(folder_config(root), tmp_path / "out", workers=1)
    assert dataset.classes == ("digit-0", "digit-1", "digit-2")
    assert sum(dataset.counts.values()) == 15
    assert all(count >= 3 for count in dataset.counts.values())
    assert len(dataset.skipped()) == 0


def test_what_ganlib_wrote_into_the_folder_is_no_class(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder(classes=2, each=5)
    before = source_state(folder_config(root))
    Home.open(root / "kept")
    for place in ("samples-digits", "digit-0/tried"):
        shutil.copytree(root / "digit-1", root / place / "images")
        (root / place / "samples.npz").touch()
    dataset = prepare(folder_config(root), tmp_path / "out", workers=1)
    assert (dataset.classes, sum(dataset.counts.values())) == (("digit-0", "digit-1"), 10)
    skipped = dataset.skipped()
    assert sorted(zip(*(skipped[name] for name in skipped.columns[:2]), strict=True)) == [
        ("digit-0/tried", "pictures made by ganlib sample"),
        ("kept", "a home of ganlib"),
        ("samples-digits", "pictures made by ganlib sample"),
    ]
    assert source_state(folder_config(root)) == before


def test_train_val_test_at_the_top_are_splits(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=2, each=6)
    for name, numbers in (("Train", range(3)), ("val", (3, 4)), ("test", (5,))):
        for label in range(2):
            target = root / name / f"digit-{label}"
            target.mkdir(parents=True)
            for number in numbers:
                shutil.move(root / f"digit-{label}" / f"{number:03d}.png", target)
    for label in range(2):
        (root / f"digit-{label}").rmdir()
    dataset = prepare(folder_config(root), tmp_path / "out", workers=1)
    assert dataset.counts == {"train": 6, "validation": 4, "test": 2}
    assert dataset.classes == ("digit-0", "digit-1")


def test_clutter_is_passed_over(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=2, each=4)
    (root / "__MACOSX" / "digit-0").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("digit-0/._000.png", "digit-0/.DS_Store", "digit-1/Thumbs.db"):
        (root / name).write_bytes(b"x")
    (root / "digit-0" / "readme.txt").write_text("not for reading")
    shutil.copy(root / "digit-0" / "000.png", root / "stray.png")
    (root / "digit-1" / "000.png").rename(root / "digit-1" / "000.PNG")
    dataset = prepare(folder_config(root), tmp_path / "out", workers=1)
    assert sum(dataset.counts.values()) == 8
    assert dataset.manifest["ignored"] == {".txt": 1}
    skipped = dataset.skipped()
    assert skipped.to_dict("records") == [
        {"file": "stray.png", "reason": "lies outside any class folder"}
    ]


def test_links_to_folders_are_followed_once(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=2, each=4)
    outside = tmp_path / "outside"
    shutil.copytree(root / "digit-1", outside)
    (root / "digit-0" / "loop").symlink_to(root)
    (root / "digit-0" / "more").symlink_to(outside)
    (root / "digit-2").symlink_to(outside / "..")
    (root / "digit-1" / "again").symlink_to(outside)
    (root / "digit-2").unlink()
    source = FolderSource(root)
    assert source.count == 4 + 4 + 4
    skipped = dict(source.notes.skipped)
    assert set(skipped) == {"digit-0/loop", "digit-1/again"}
    assert "read already" in skipped["digit-0/loop"]


def test_names_of_any_bytes(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=2, each=3)
    odd = ["ü \n💐.png", "e\u0301.png", 'a,"b".png']
    for name, old in zip(odd, sorted((root / "digit-0").iterdir()), strict=True):
        old.rename(root / "digit-0" / name)
    broken = os.fsencode(root / "digit-1") + b"/\xff\xfe.png"
    with open(broken, "wb") as file:
        file.write(b"no picture")
    dataset = prepare(folder_config(root, max_bad_fraction=0.5), tmp_path / "out", workers=1)
    assert sum(dataset.counts.values()) == 6
    assert dataset.skipped()["file"].tolist() == ["digit-1/\\xff\\xfe.png"]


@pytest.mark.parametrize("kind", [".jpg", ".webp", ".bmp", ".tif", ".gif", ".JPEG"])
def test_every_kind_of_file(make_folder: MakeFolder, tmp_path: Path, kind: str) -> None:
    root = make_folder(classes=2, each=3, ending=kind)
    dataset = prepare(folder_config(root), tmp_path / "out", workers=1)
    assert sum(dataset.counts.values()) == 6


def _missing(root: Path) -> None:
    shutil.rmtree(root)


def _empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _only_text(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.rename(path.with_suffix(".txt"))


def _flat(root: Path) -> None:
    for number, path in enumerate(list(root.rglob("*.png"))):
        path.rename(root / f"{number}.png")
    for path in list(root.iterdir()):
        if path.is_dir():
            path.rmdir()


def _flat_train(root: Path) -> None:
    (root / "digit-0").rename(root / "train")
    (root / "digit-1").rename(root / "test")


def _no_train(root: Path) -> None:
    _flat_train(root)
    for path in (root / "train").iterdir():
        path.unlink()


def _one_class(root: Path) -> None:
    shutil.rmtree(root / "digit-1")


def _one_level_up(root: Path) -> None:
    inner = root / "set"
    inner.mkdir()
    for name in ("digit-0", "digit-1"):
        (root / name).rename(inner / name)


def _empty_class(root: Path) -> None:
    (root / "digit-2").mkdir()


def _one_image(root: Path) -> None:
    for path in sorted((root / "digit-1").iterdir())[1:]:
        path.unlink()


def _splits_and_more(root: Path) -> None:
    for name in ("train", "test"):
        (root / name).mkdir()


def _file(root: Path) -> None:
    shutil.rmtree(root)
    root.write_bytes(b"x")


def _all_bad(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"text")


BAD = {
    "missing": (_missing, "there is no folder .*images"),
    "a-file": (_file, "is a file, not a folder"),
    "empty": (_empty, "images holds no images"),
    "no-images": (_only_text, r"holds no images; it holds \.txt files"),
    "flat": (_flat, r"holds 8 images but no class subfolders\n.*ganlib run unlabelled"),
    "flat-splits": (_flat_train, "train holds 4 images but no class subfolders"),
    "one-class": (_one_class, "holds only one class, 'digit-0'"),
    "one-level-up": (_one_level_up, "only one class, 'set'.*\n.*did you mean .*images/set"),
    "empty-class": (_empty_class, "class 'digit-2' in .* has no images"),
    "one-image": (_one_image, "class 'digit-1' has 1 usable image; it needs 3"),
    "splits-and-more": (_splits_and_more, "holds both splits .* and digit-0"),
    "all-bad": (_all_bad, r"8 of 8 images \(100.0%\) cannot be used, more than max_bad_fraction"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_folder_that_cannot_be_used_says_why(
    make_folder: MakeFolder, tmp_path: Path, name: str
) -> None:
    root = make_folder(classes=2, each=4)
    spoil: Callable[[Path], None] = BAD[name][0]
    spoil(root)
    with pytest.raises(DataError) as caught:
        prepare(folder_config(root), tmp_path / "out", workers=1)
    assert re.search(BAD[name][1], str(caught.value)), str(caught.value)
    assert caught.value.exit_code == 2
    assert caught.value.hint


def unlabelled(root: Path, **settings: object) -> DataConfig:
    data = folder_config(root, **settings).model_dump()
    return DataConfig.model_validate({**data, "source": Unlabelled(path=str(root))})


@pytest.mark.parametrize("spoil", [_flat, _one_class, _one_level_up, lambda root: None])
def test_without_classes_every_image_below_is_of_one(
    make_folder: MakeFolder, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    root = make_folder(classes=2, each=8)
    spoil(root)
    count = sum(1 for _ in root.rglob("*.png"))
    dataset = prepare(unlabelled(root), tmp_path / "out", workers=1)
    assert dataset.classes == ("unlabelled",)
    assert sum(dataset.counts.values()) == count
    assert all(dataset.counts.values())
    assert not len(dataset.skipped())
    assert set(dataset.load("train").label_N.tolist()) == {0}


def test_the_splits_of_images_without_classes_are_kept(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder(classes=2, each=8)
    shutil.copy(root / "digit-0" / "000.png", root / "stray.png")
    _flat_train(root)
    dataset = prepare(unlabelled(root), tmp_path / "out", workers=1)
    assert (dataset.counts["test"], dataset.counts["train"] + dataset.counts["validation"]) == (
        8,
        8,
    )
    assert dataset.skipped().to_dict("records") == [
        {"file": "stray.png", "reason": "lies outside train, val and test"}
    ]


def test_images_that_come_and_go_are_another_state(make_folder: MakeFolder) -> None:
    root = make_folder(classes=2, each=4)
    _flat(root)
    before = source_state(unlabelled(root))
    assert source_state(unlabelled(root)) == before
    (root / "0.png").unlink()
    assert source_state(unlabelled(root)) != before


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_missing, "there is no folder"),
        (_empty, "holds no images"),
        (_only_text, r"holds no images; it holds \.txt files"),
        (_no_train, "has no images for training"),
    ],
)
def test_a_folder_without_classes_and_images_says_why(
    make_folder: MakeFolder, tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    root = make_folder(classes=2, each=4)
    spoil(root)
    with pytest.raises(DataError, match=reason):
        prepare(unlabelled(root), tmp_path / "out", workers=1)


def test_bad_files_are_listed_and_counted(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=2, each=10, ending=".jpg", side=64)
    (root / "digit-0" / "text.png").write_text("hello")
    (root / "digit-0" / "zero.png").write_bytes(b"")
    whole = (root / "digit-1" / "000.jpg").read_bytes()
    (root / "digit-1" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"3 of 23 images \(13.0%\).*digit-0/text.png: not an im"):
        prepare(folder_config(root), tmp_path / "out", workers=1)
    dataset = prepare(folder_config(root, max_bad_fraction=0.2), tmp_path / "out", workers=1)
    reasons = dict(dataset.skipped().itertuples(index=False))
    assert list(reasons) == ["digit-0/text.png", "digit-0/zero.png", "digit-1/cut.jpg"]
    assert "empty file" in reasons["digit-0/zero.png"]
    assert "truncated" in reasons["digit-1/cut.jpg"].lower()
    assert sum(dataset.counts.values()) == 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_skipped(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=2, each=4)
    (root / "digit-0" / "000.png").chmod(0)
    config = folder_config(root, max_bad_fraction=0.5)
    reason = prepare(config, tmp_path / "out", workers=1).skipped()["reason"][0]
    assert reason == "no permission to read it"


def test_the_state_changes_with_the_files_alone(make_folder: MakeFolder) -> None:
    root = make_folder(classes=2, each=4)
    config = folder_config(root)
    before = source_state(config)
    assert source_state(config) == before
    Image.new("RGB", (9, 9)).save(root / "digit-0" / "new.png")
    added = source_state(config)
    (root / "digit-0" / "new.png").unlink()
    assert added != before == source_state(config)
