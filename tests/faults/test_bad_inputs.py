"""What a careless or hostile user gives: message and exit code, one row each.

`cli` rows go through the command itself; `data` rows through preparation, whose errors carry the
exit code the command returns.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib import api
from ganlib.cli.main import main
from ganlib.config import DataConfig, Folder, load, overlay
from ganlib.data import Dataset, prepare
from ganlib.errors import ConfigError, GanlibError
from ganlib.storage import Home

CLASSES = ("rose", "tulip")


def pictures(folder: Path, per_class: int = 8, classes: tuple[str, ...] = CLASSES) -> Path:
    """A small, healthy folder of images by class."""
    draw = np.random.default_rng(3)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = draw.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def yaml_file(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def folder_here(folder: Path, name: str) -> str:
    (folder / name).mkdir()
    return name


def file_home(folder: Path) -> str:
    (folder / "home").write_text("not a folder")
    return str(folder / "home")


def foreign_home(folder: Path) -> str:
    (folder / "home").mkdir()
    (folder / "home" / "thesis.tex").write_text("mine")
    return str(folder / "home")


def newer_home(folder: Path, marker: str = '{"format": 99}') -> str:
    root = Home.open(folder / "home").root
    (root / "home.json").write_text(marker)
    return str(root)


def flat(folder: Path) -> str:
    pictures(folder / "f", 4, (".",))
    return str(folder / "f")


def empty(folder: Path) -> str:
    (folder / "f").mkdir()
    return str(folder / "f")


OWN = "name: x\ngan: {{generator: {{network: {{kind: custom, build: '{build}'}}}}}}"
Argv = Callable[[Path], list[str]]
CLI: dict[str, tuple[Argv, str]] = {
    "unknown recipe": (lambda t: ["run", "digit"], "did you mean digits"),
    "unknown command": (lambda t: ["rnu"], "run"),
    "unknown option": (lambda t: ["run", "digits", "--seeds", "3"], "--seeds"),
    "missing folder": (lambda t: ["run", str(t / "nowhere")], "nowhere"),
    "empty folder": (lambda t: ["run", empty(t)], "holds no images"),
    "a flat folder for a recipe with classes": (
        lambda t: ["run", "folder", "--set", f"data.source.path={flat(t)}"],
        "no class subfolders",
    ),
    "no network that was trained": (
        lambda t: ["run", flat(t), "--set", "judging.gate=inception"],
        "judging.gate is inception: GANLIB_INCEPTION is not set",
    ),
    "a class for images without one": (
        lambda t: [
            "run",
            flat(t),
            "--set",
            "gan.generator.network.conditioning=concatenation",
            "--set",
            "gan.discriminator.network.conditioning=projection",
        ],
        "the images of data.source unlabelled have no classes: set it to none",
    ),
    "labels to agree with where there are none": (
        lambda t: ["run", flat(t), "--set", "promotion.min_label_agreement=0.9"],
        "promotion.min_label_agreement is 0.9, and the images",
    ),
    "a classifier of nothing": (
        lambda t: ["train", flat(t), "--only", "classifiers"],
        "the images have no classes, so no classifier is trained",
    ),
    "the recipe without a folder": (lambda t: ["run", "unlabelled"], "give the folder itself"),
    "one class and loose images": (
        lambda t: ["run", str(pictures(t / "f", 8, (".", "rose")))],
        "one class",
    ),
    "a file that is no recipe": (lambda t: ["run", __file__], "neither a recipe nor a folder"),
    "broken YAML": (lambda t: ["run", yaml_file(t, "name: [")], "mine.yaml is not valid YAML"),
    "YAML with code": (
        lambda t: ["run", yaml_file(t, "name: !!python/object/apply:os.getcwd []")],
        "mine.yaml is not valid YAML",
    ),
    "misspelt key": (
        lambda t: ["run", yaml_file(t, "name: x\ngan: {bacth_size: 4}")],
        "did you mean gan.batch_size",
    ),
    "misspelt --set": (
        lambda t: ["run", "digits", "--set", "gan.genrator.steps=1"],
        "did you mean gan.generator.steps",
    ),
    "wrong type": (
        lambda t: ["run", "digits", "--set", "gan.batch_size=many"],
        "gan.batch_size='many'",
    ),
    "a misspelt extractor": (
        lambda t: ["evaluate", "digits", "--set", "evaluation.extractors=[judge, incepton]"],
        "'incepton' is none of judge, random, pretrained, inception",
    ),
    "settings of its own": (
        lambda t: ["evaluate", "digits", "--set", "evaluation.teaching=yes"],
        "set evaluation.teaching.classifiers, evaluation.teaching.images,",
    ),
    "no samples": (
        lambda t: ["evaluate", "digits", "--set", "evaluation.samples=0"],
        "evaluation.samples=0",
    ),
    "one flat image": (
        lambda t: ["data", "check", str(pictures(t / "f", 1, (".",)))],
        "the folder has 1 usable image; it needs 3, one in each of train, validation, test",
    ),
    "weights of another network": (
        lambda t: ["data", "check", str(pictures(t / "f")), "--features", "inception"],
        "other.pth is not weights-inception-2015-12-05-6726825d.pth: its sha256 is ",
    ),
    "value out of range": (
        lambda t: ["run", "digits", "--set", "gan.generator.optimiser.beta1=2"],
        "gan.generator.optimiser.beta1=2",
    ),
    "no equals sign": (lambda t: ["run", "digits", "--set", "seed"], "path=value"),
    "a batch that does not divide": (
        lambda t: ["run", "digits", "--set", "gan.batch_size=63"],
        "not a multiple of 2 workers",
    ),
    "a size no network has": (
        lambda t: ["run", "digits", "--set", "data.size=7"],
        "data.size=7",
    ),
    "a size too small for the judge": (
        lambda t: [
            *("run", "digits", "--set", "classifier.network.kind=alexnet"),
            *("--set", "classifier.network.variant=imagenet"),
        ],
        "alexnet needs 63",
    ),
    "a network that is not there": (
        lambda t: ["run", yaml_file(t, OWN.format(build="nope:fn"))],
        "gan.generator.network.build=nope:fn cannot be imported",
    ),
    "a network whose module has no such function": (
        lambda t: ["run", yaml_file(t, OWN.format(build="json:nope"))],
        "gan.generator.network.build=json:nope cannot be imported",
    ),
    "a source of images that is not there": (
        lambda t: ["run", yaml_file(t, "name: x\ndata: {source: {kind: custom, build: 'nope:f'}}")],
        "data.source.build=nope:f cannot be imported",
    ),
    "a model to start from that is not there": (
        lambda t: ["run", "digits", "--set", "gan.init_from=models:/nope@champion"],
        "gan.init_from",
    ),
    "an empty recipe": (lambda t: ["run", ""], "an empty text names no recipe"),
    "an empty model": (lambda t: ["sample", ""], "'' is neither an exported folder nor a name"),
    "the recipe folder without one": (lambda t: ["run", "folder"], "give the folder itself"),
    "YAML without an end": (lambda t: ["run", yaml_file(t, "[" * 9000)], "nested too deeply"),
    "--set without an end": (
        lambda t: ["run", "digits", "--set", f"data={'[' * 9000}"],
        "the value of data is nested too deeply",
    ),
    "a port that is none": (lambda t: ["ui", "--mlflow-port", "99999999"], "0<=x<=65535"),
    "a negative port": (lambda t: ["ui", "--prefect-port", "-1"], "0<=x<=65535"),
    "a model that is SQL": (lambda t: ["model", "rollback", "x'y"], "name that a model can have"),
    "rollback to a version": (lambda t: ["model", "rollback", "digits/3"], "names one version"),
    "a URI of nothing": (lambda t: ["sample", "models:/"], "name that a model can have"),
    "unknown model": (lambda t: ["sample", "nothing"], "nothing"),
    "a model with the name of a folder": (
        lambda t: ["sample", folder_here(t, "flowers")],
        "flowers-generator@champion",
    ),
    "unknown run": (lambda t: ["logs", "p-nothing"], "p-nothing"),
    "unknown stage": (lambda t: ["status", "--why", "dance"], "dance"),
    "rollback of nothing": (lambda t: ["model", "rollback", "nothing-generator"], "nothing"),
    "home is a file": (lambda t: ["status", "--home", file_home(t)], "not a folder"),
    "home is somebody's folder": (lambda t: ["status", "--home", foreign_home(t)], "thesis.tex"),
    "home of a newer version": (lambda t: ["status", "--home", newer_home(t)], "format 99"),
    "home with a damaged marker": (lambda t: ["status", "--home", newer_home(t, "{")], "damaged"),
}


@pytest.mark.parametrize("case", CLI)
def test_bad_input_is_refused_with_exit_2_and_the_cause(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANLIB_HOME", str(Home.open(tmp_path / "default-home").root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if case == "weights of another network":
        (tmp_path / "other.pth").write_bytes(b"other")
        monkeypatch.setenv("GANLIB_INCEPTION", str(tmp_path / "other.pth"))
    monkeypatch.chdir(tmp_path)
    argv, said = CLI[case]
    assert main([*argv(tmp_path), "--json"]) == 2
    told = capfd.readouterr()
    document = json.loads(told.out)
    assert (document["ok"], document["exit"]) == (False, 2)
    assert said in f"{document['error']['message']} {document['error']['hint']}"
    assert said in told.err
    assert "Traceback" not in told.err


def test_a_folder_of_datasets_that_is_not_there_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path / "gone"))
    assert main(["data", "prepare", "mnist", "--home", str(tmp_path / "h"), "--json"]) == 2
    error = json.loads(capfd.readouterr().out)["error"]
    assert error["message"] == f"GANLIB_DATA={tmp_path / 'gone'} names no folder"
    assert not list((tmp_path / "h" / "runs").iterdir())


@pytest.mark.parametrize(
    "argv",
    [
        ["status"],
        ["status", "--why", "gan"],
        ["logs"],
        ["logs", "p-1"],
        ["cancel", "p-1"],
        ["sample", "digits"],
        ["predict", "digits", "."],
        ["model", "rollback", "digits"],
    ],
    ids=" ".join,
)
def test_what_only_looks_makes_no_home(
    argv: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    pictures(tmp_path)
    monkeypatch.chdir(tmp_path / "rose")
    assert main([*argv, "--home", "../h", "--json"]) == 2
    error = json.loads(capfd.readouterr().out)["error"]
    assert error["message"] == f"there is no home at {tmp_path / 'h'}"
    assert not (tmp_path / "h").exists()


def text_png(folder: Path) -> None:
    (folder / "rose" / "bad.png").write_text("this is text")


def truncated(folder: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(folder / "rose" / "bad.jpg")
    data = (folder / "rose" / "bad.jpg").read_bytes()
    (folder / "rose" / "bad.jpg").write_bytes(data[: len(data) // 2])


def zero_bytes(folder: Path) -> None:
    (folder / "rose" / "bad.png").touch()


def absurd(folder: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    (folder / "rose" / "bad.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


def dead_link(folder: Path) -> None:
    (folder / "rose" / "bad.png").symlink_to(folder / "gone.png")


BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "text renamed .png": (text_png, "not an image|cannot identify|no image"),
    "truncated JPEG": (truncated, "truncated|cut|broken"),
    "zero-byte file": (zero_bytes, "empty"),
    "60000x60000 header": (absurd, "3,?600,?000,?000|60,?000"),
    "dead link": (dead_link, "link|there"),
}


def prepared(folder: Path, root: Path, **settings: object) -> Dataset:
    config = DataConfig.model_validate(
        {"source": Folder(path=str(folder)), "size": 8, "channels": 3, **settings}
    )
    return prepare(config, root, workers=1)


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_skipped_and_listed_or_too_many_are_an_error(
    case: str, tmp_path: Path
) -> None:
    spoil, reason = BAD_FILES[case]
    folder = pictures(tmp_path / "f")
    spoil(folder)
    skipped = prepared(folder, tmp_path / "some", max_bad_fraction=0.2).skipped()
    assert len(skipped) == 1
    assert "bad." in str(skipped.iloc[0, 0])
    assert skipped["reason"].str.contains(reason, case=False, regex=True).all(), skipped
    with pytest.raises(GanlibError, match=r"bad\.") as caught:
        prepared(folder, tmp_path / "none", max_bad_fraction=0.01)
    assert caught.value.exit_code == 2
    assert "max_bad_fraction" in str(caught.value)


def test_one_image_in_a_class_cannot_be_split_and_names_the_class(tmp_path: Path) -> None:
    folder = pictures(pictures(tmp_path / "f"), 1, ("lily",))
    with pytest.raises(GanlibError, match="lily") as caught:
        prepared(folder, tmp_path / "d")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("per_class", "settings", "split", "share"),
    [
        (12, {}, "validation", "data.validation_fraction"),
        (40, {"data.test_fraction": 0.02}, "test", "data.test_fraction"),
    ],
)
def test_too_few_images_to_judge_by_are_refused_after_preparation_each_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    per_class: int,
    settings: dict[str, float],
    split: str,
    share: str,
) -> None:
    monkeypatch.setenv("GANLIB_HOME", str(tmp_path / "home"))
    folder = pictures(tmp_path / "f", per_class)
    config = overlay(load(str(folder)), settings)
    for _ in range(2):
        dataset = api.prepare(config).value
        with pytest.raises(ConfigError, match=f"the {split} split has") as caught:
            api.ready(config, dataset, until="classifiers")
        assert caught.value.where == share
        assert share in caught.value.hint


def test_a_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "f")
    (folder / "rose" / "again").symlink_to(folder)
    (folder / "tulip" / "self").symlink_to(folder / "tulip")
    assert sum(prepared(folder, tmp_path / "d").counts.values()) == 16


def test_a_damaged_manifest_and_a_damaged_shard_are_named(tmp_path: Path) -> None:
    dataset = prepared(pictures(tmp_path / "f"), tmp_path / "d")
    manifest = next((tmp_path / "d").rglob(f"manifest-{dataset.fingerprint}.json"))
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GanlibError, match="manifest") as caught:
        Dataset.open(dataset.folder, dataset.fingerprint)
    assert caught.value.exit_code == 1
    manifest.write_bytes(whole)
    shard = sorted((tmp_path / "d").rglob("*.arrow"))[0]
    shard.write_bytes(shard.read_bytes()[:-64])
    with pytest.raises(GanlibError) as caught:
        load_all(dataset)
    assert shard.name in str(caught.value)


def load_all(dataset: Dataset) -> None:
    reopened = Dataset.open(dataset.folder, dataset.fingerprint)
    for split in reopened.counts:
        reopened.load(split)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; only root may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_read_only_home_is_refused(small_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Home.open(small_disk / "home")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(["status", "--home", str(small_disk / "home"), "--json"]) == 2
    assert "Read-only" in json.loads(capfd.readouterr().out)["error"]["message"]


def test_a_run_on_a_full_disk_is_refused_before_anything_starts(
    small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "digits", "--home", str(small_disk / "home"), "--json"]) == 2
    error = json.loads(capfd.readouterr().out)["error"]
    assert f"the disk of {small_disk}/home is full" in error["message"]
    assert "another disk" in error["hint"]


def test_a_full_disk_is_named_and_what_was_made_stays(small_disk: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "f", 200)
    with pytest.raises(GanlibError) as caught:
        prepared(folder, small_disk, size=64)
    assert caught.value.exit_code == 1
    assert "No space left" in str(caught.value)
    assert "free some space" in str(caught.value)
    dataset = prepared(folder, tmp_path / "elsewhere", size=64)
    assert sum(dataset.counts.values()) == 400
