"""Every kind of source, on real data where there is some."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from ganlib.config import (
    Arrays,
    Cifar10,
    Custom,
    DataConfig,
    Digits,
    Folder,
    Idx,
    Source,
    Unlabelled,
    parse,
)
from ganlib.data import Dataset, prepare, source_state
from ganlib.data.sources.arrays import ArraySource
from ganlib.data.sources.cifar10 import BINARY, CLASSES, RECORD, JpegSource
from ganlib.data.sources.digits import DigitsSource
from ganlib.data.sources.forward import ArrayFile
from ganlib.errors import ConfigError, DataError


def test_digits_are_scikit_learn_s(digits: DigitsSource) -> None:
    from sklearn.datasets import load_digits

    theirs = load_digits()
    assert np.array_equal(digits.image_NHWC[..., 0], np.rint(theirs.images * 255 / 16))
    assert np.array_equal(digits.label_N, theirs.target)


def test_prepared_digits(tmp_path: Path, digits: DigitsSource) -> None:
    dataset = prepare(DataConfig(source=Digits(), size=8), tmp_path)
    assert dataset.classes == tuple("0123456789")
    assert sum(dataset.counts.values()) == 1797
    assert 0.17 < dataset.counts["test"] / 1797 < 0.23
    rows = [dataset.load(split).image_NHWC.numpy() for split in dataset.counts]
    theirs = {image.tobytes() for image in digits.image_NHWC}
    assert {image.tobytes() for image in np.concatenate(rows)} == theirs
    assert prepare(DataConfig(source=Digits(), size=16), tmp_path).size == 16


@pytest.mark.data
def test_mnist_as_it_is_known(test_data: Path, tmp_path: Path) -> None:
    config = DataConfig(source=Idx(dataset="mnist"), size=28)
    dataset = prepare(config, tmp_path, search=[tmp_path / "nothing", test_data], offline=True)
    assert dataset.counts["test"] == 10_000
    assert dataset.counts["train"] + dataset.counts["validation"] == 60_000
    assert dataset.class_counts["test"][:3] == (980, 1135, 1032)
    assert dataset.mean == pytest.approx([0.1307], abs=2e-4)
    assert dataset.std == pytest.approx([0.3081], abs=2e-4)
    assert dataset.load("test").label_N[:5].tolist() == [7, 2, 1, 0, 4]


def test_the_state_of_a_published_set_is_its_checksums(tmp_path: Path) -> None:
    config = DataConfig(source=Idx(dataset="mnist"), size=28)
    other = DataConfig(source=Idx(dataset="fashion-mnist"), size=28)
    assert source_state(config, [tmp_path]) == source_state(config, [])
    assert source_state(config, []) != source_state(other, [])


def _write_idx(folder: Path, train: int = 12, test: int = 6, classes: int = 2) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 10, 10), dtype=np.uint8)
        data = struct.pack(">IIII", 0x803, count, 10, 10) + images.tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(data)
        labels = bytes(i % classes for i in range(count))
        packed = gzip.compress(struct.pack(">II", 0x801, count) + labels)
        (folder / f"{part}-labels.idx1-ubyte.gz").write_bytes(packed)


def _cut_images(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:500])


def _swap(folder: Path) -> None:
    images = folder / "train-images-idx3-ubyte"
    images.write_bytes(gzip.decompress((folder / "train-labels.idx1-ubyte.gz").read_bytes()))


def _fewer_labels(folder: Path) -> None:
    path = folder / "train-labels.idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">II", 0x801, 3) + bytes(3)))


def _no_gzip(folder: Path) -> None:
    (folder / "t10k-labels.idx1-ubyte.gz").write_bytes(b"plain")


def _lacking(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte").unlink()


BAD_IDX = {
    "cut": (_cut_images, "train-images-idx3-ubyte cannot be read: it ends after 500 bytes"),
    "swapped": (_swap, "train-images-idx3-ubyte is not an idx file of images"),
    "fewer-labels": (_fewer_labels, "holds 3 labels, .*train-images-idx3-ubyte 12 images"),
    "no-gzip": (_no_gzip, "t10k-labels.idx1-ubyte.gz cannot be read"),
    "lacking": (_lacking, "does not hold the four idx files"),
}


@pytest.mark.parametrize("name", BAD_IDX)
def test_idx_files_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    _write_idx(tmp_path)
    config = DataConfig(source=Idx(path=str(tmp_path)), size=8)
    assert prepare(config, tmp_path / "out").counts["test"] == 6
    BAD_IDX[name][0](tmp_path)
    with pytest.raises(DataError, match=BAD_IDX[name][1]):
        prepare(config, tmp_path / "again")


@pytest.mark.data
def test_a_named_set_that_is_another_is_refused(test_data: Path, tmp_path: Path) -> None:
    shutil.copytree(test_data / "fashion-mnist", tmp_path / "mnist")
    config = DataConfig(source=Idx(dataset="mnist"), size=28)
    with pytest.raises(DataError, match="is not the published train-labels"):
        prepare(config, tmp_path / "out", search=[tmp_path], offline=True)


@pytest.mark.data
def test_cifar_10_as_jpeg_bytes(test_data: Path, tmp_path: Path) -> None:
    """A small npz with the first of the real bytes, so that it takes no time."""
    full = np.load(test_data / "cifar10" / "cifar10_jpeg.npz")
    small = {"class_names": full["class_names"]}
    for split, count in (("train", 200), ("test", 50)):
        offsets = full[f"{split}_offsets"][: count + 1]
        small |= {
            f"{split}_offsets": offsets,
            f"{split}_labels": full[f"{split}_labels"][:count],
            f"{split}_jpeg": full[f"{split}_jpeg"][: offsets[-1]],
        }
    np.savez_compressed(tmp_path / "cifar10_jpeg.npz", **small)
    config = DataConfig(source=Cifar10(path=str(tmp_path)), size=32, channels=3)
    dataset = prepare(config, tmp_path / "out")
    assert dataset.counts["test"] == 50
    assert dataset.classes == CLASSES
    first = bytes(small["test_jpeg"][: small["test_offsets"][1]])
    with Image.open(io.BytesIO(first)) as image:
        assert np.array_equal(dataset.load("test").image_NHWC[0].numpy(), np.asarray(image))
    by_name = prepare(
        config.model_copy(update={"source": Cifar10()}),
        tmp_path / "out",
        search=[test_data.parent / "absent", _as_named(tmp_path)],
        offline=True,
    )
    assert by_name.fingerprint == dataset.fingerprint
    assert JpegSource(test_data / "cifar10" / "cifar10_jpeg.npz").count == 60_000


def _as_named(tmp_path: Path) -> Path:
    folder = tmp_path / "named" / "cifar10"
    folder.mkdir(parents=True)
    shutil.copy(tmp_path / "cifar10_jpeg.npz", folder)
    return tmp_path / "named"


def test_cifar_10_binary(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image_NHWC = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    for number, name in enumerate(BINARY):
        rows = image_NHWC[number * 10 : number * 10 + 10].transpose(0, 3, 1, 2).reshape(10, -1)
        labels = np.arange(10, dtype=np.uint8)[:, None]
        (tmp_path / name).write_bytes(np.concatenate([labels, rows], axis=1).tobytes())
    config = DataConfig(source=Cifar10(path=str(tmp_path)), size=32, channels=3)
    test = prepare(config, tmp_path / "out").load("test")
    assert np.array_equal(test.image_NHWC.numpy(), image_NHWC[50:])
    assert test.label_N.tolist() == list(range(10))
    (tmp_path / BINARY[2]).write_bytes(bytes(RECORD + 1))
    with pytest.raises(DataError, match=r"data_batch_3.bin is 3074 bytes long"):
        prepare(config, tmp_path / "out")


IMAGES = np.random.default_rng(0).integers(0, 256, (30, 9, 12, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_a_header_that_claims_more_than_there_is_takes_no_room(tmp_path: Path, form: str) -> None:
    """A terabyte in 128 bytes: refused before anything of that size is asked for."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000, 1)}
    )
    path = tmp_path / f"set.{form}"
    if form == "npy":
        path.write_bytes(header.getvalue())
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", header.getvalue())
    with pytest.raises(DataError, match="it ends after 0 of the 1,000,000,000,000 bytes it claims"):
        ArrayFile(path, "images" if form == "npz" else None)


@pytest.mark.parametrize("form", ["npz", "compressed", "npy", "folder", "texts"])
def test_arrays_in_every_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "set.npz"
    if form in ("npz", "compressed"):
        save = np.savez if form == "npz" else np.savez_compressed
        save(path, images=IMAGES, labels=LABELS, class_names=["a", "b", "c"])
    elif form == "texts":
        np.savez(path, images=IMAGES, labels=np.array(["a", "b", "c"])[LABELS])
    else:
        np.save(tmp_path / "images.npy", IMAGES)
        np.save(tmp_path / "labels.npy", LABELS)
        path = tmp_path / "images.npy" if form == "npy" else tmp_path
    dataset = prepare(DataConfig(source=Arrays(path=str(path)), size=9, channels=3), tmp_path)
    named = form in ("npz", "compressed", "texts")
    assert dataset.classes == (("a", "b", "c") if named else ("0", "1", "2"))
    assert sum(dataset.counts.values()) == 30


BAD_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "floats": ({"images": IMAGES / 255.0}, "is float64 .*, not uint8"),
    "too-many-channels": ({"images": np.repeat(IMAGES, 11, 3)}, "with 1 to 32 channels"),
    "fewer-labels": ({"labels": LABELS[:9]}, "holds 30 images for 9 labels"),
    "negative": ({"labels": LABELS - 1}, "runs from -1 to 1"),
    "float-labels": ({"labels": LABELS / 2}, "not integers or texts"),
    "objects": ({"labels": np.array([None] * 30)}, "holds objects"),
    "gap": ({"labels": np.where(LABELS == 1, 0, LABELS)}, "class '1' has 0 usable images"),
    "one-class": ({"labels": LABELS * 0}, "there is only one class"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "set.npz", **({"images": IMAGES, "labels": LABELS} | BAD_ARRAYS[name][0]))
    config = DataConfig(source=Arrays(path=str(tmp_path / "set.npz")), size=8, channels=3)
    with pytest.raises(DataError, match=BAD_ARRAYS[name][1]):
        prepare(config, tmp_path)


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("channels", [2, 4, 12])
def test_any_number_of_channels_stays_and_each_is_resized_by_itself(
    tmp_path: Path, channels: int, size: int
) -> None:
    image_NHWC = stream_of_pixels(channels)
    np.savez(tmp_path / "all.npz", images=image_NHWC, labels=LABELS)
    np.savez(tmp_path / "last.npz", images=image_NHWC[..., -1], labels=LABELS)
    every, last = (
        prepare(DataConfig(source=Arrays(path=str(tmp_path / name)), size=size, channels=count), at)
        for name, count, at in (
            ("all.npz", channels, tmp_path / "all"),
            ("last.npz", 1, tmp_path / "last"),
        )
    )
    found_NHWC, last_NHWC = (all_of(dataset) for dataset in (every, last))
    assert found_NHWC.shape == (len(LABELS), size, size, channels)
    assert len(every.mean) == len(every.std) == channels
    # Another fingerprint draws other splits, so the images are told by their pixels.
    assert {x.tobytes() for x in found_NHWC[..., -1]} == {x.tobytes() for x in last_NHWC[..., 0]}


def all_of(dataset: Dataset) -> np.ndarray:
    return np.concatenate([dataset.load(split).image_NHWC.numpy() for split in dataset.counts])


def stream_of_pixels(channels: int) -> np.ndarray:
    shape = (len(LABELS), 8, 8, channels)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("asked", [1, 3, 4])
def test_channels_that_are_not_those_asked_for_are_refused(tmp_path: Path, asked: int) -> None:
    np.savez(tmp_path / "set.npz", images=stream_of_pixels(2), labels=LABELS)
    config = DataConfig(source=Arrays(path=str(tmp_path / "set.npz")), size=8, channels=asked)
    with pytest.raises(ConfigError, match=rf"2 channels .* of {asked}\n.*data.channels to 2"):
        prepare(config, tmp_path)


@pytest.mark.parametrize("source", [{"kind": "digits"}, {"kind": "folder", "path": "x"}])
def test_a_source_of_pictures_is_refused_other_channels(source: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"source {source['kind']} are grey or coloured"):
        parse(DataConfig, {"source": source, "channels": 4})


def test_a_missing_member_or_file_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", pictures=IMAGES, labels=LABELS)
    with pytest.raises(DataError, match=r"no member 'images'\n.*pictures, labels"):
        source_state(DataConfig(source=Arrays(path=str(tmp_path / "set.npz"))))
    with pytest.raises(DataError, match=r"there is no .*absent.npz"):
        source_state(DataConfig(source=Arrays(path=str(tmp_path / "absent.npz"))))


def striped(count: int) -> ArraySource:
    """A user's own set, as `kind: custom` names it."""
    image_NHW = np.zeros((count, 8, 8), np.uint8)
    image_NHW[::2, ::2] = 250
    image_NHW[1::2, :, ::2] = 250
    image_NHW += np.arange(count, dtype=np.uint8)[:, None, None] % 5
    splits = np.repeat(["train", "test"], [count - 10, 10])
    return ArraySource(image_NHW, np.arange(count) % 2, ("rows", "columns"), splits)


def test_a_user_s_own_source(tmp_path: Path) -> None:
    custom = Custom(build=f"{__name__}:striped", options={"count": 60})
    dataset = prepare(DataConfig(source=custom, size=8), tmp_path)
    assert dataset.classes == ("rows", "columns")
    assert dataset.counts["test"] == 10
    absent = Custom(build="no.such:thing")
    with pytest.raises(ConfigError, match=r"no\.such:thing cannot be imported"):
        prepare(DataConfig(source=absent, size=8), tmp_path)
    other = Custom(build="builtins:dict")
    with pytest.raises(ConfigError, match="returned dict, not an ArraySource"):
        prepare(DataConfig(source=other, size=8), tmp_path)


def test_every_source_of_the_configuration_has_a_state(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=IMAGES, labels=LABELS)
    for name in ("a", "b"):
        (tmp_path / "folder" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "folder" / name / "1.png")
    members: dict[type, Any] = {
        Digits: Digits(),
        Idx: Idx(dataset="mnist"),
        Cifar10: Cifar10(),
        Folder: Folder(path=str(tmp_path / "folder")),
        Unlabelled: Unlabelled(path=str(tmp_path / "folder" / "a")),
        Arrays: Arrays(path=str(tmp_path / "set.npz")),
        Custom: Custom(build=f"{__name__}:striped", options={"count": 60}),
    }
    union = get_args(get_args(Source)[0])
    assert set(members) == set(union)
    states = {source_state(DataConfig(source=members[kind])) for kind in union}
    assert len(states) == len(union)
