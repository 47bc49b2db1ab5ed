"""Sources that lie in a bucket: fetched once, followed when it changes, and never outside."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.config import DataConfig, load, overlay
from ganlib.config.data import Arrays, Folder
from ganlib.data import Dataset, prepare, source_state
from ganlib.errors import ConfigError, DataError, NotFound, StorageError
from ganlib.storage import S3Reader
from ganlib.storage import follow as follow_module
from ganlib.storage.follow import follow
from ganlib.storage.s3 import Entry
from tests.s3 import S3Server


def png(seed: int) -> bytes:
    image_HWC = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(image_HWC).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def flowers(s3: S3Server, tmp_path: Path) -> str:
    """Two classes of twelve in a bucket, and the same in a folder of this machine."""
    bucket = s3.bucket(f"flowers-{tmp_path.name[-20:].replace('_', '-').strip('-')}".lower())
    for number in range(24):
        name = f"{'rose' if number % 2 else 'tulip'}/{number:02}.png"
        s3.put(bucket, f"set/{name}", png(number))
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(png(number))
    s3.put(bucket, "set/README.txt", b"not an image")
    s3.put(bucket, "set/rose/.hidden.png", b"not looked at")
    return bucket


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys in the order in which they were asked for."""
    keys: list[str] = []
    fetch = S3Reader.fetch

    def noting(self: S3Reader, key: str, file: io.BufferedWriter, etag: str) -> None:
        keys.append(key)
        fetch(self, key, file, etag)

    monkeypatch.setattr(S3Reader, "fetch", noting)
    return keys


def config(path: str) -> DataConfig:
    return DataConfig(source=Folder(path=path), size=8, channels=3)


def images(dataset: Dataset) -> np.ndarray:
    parts = [dataset.load(split).image_NHWC.numpy() for split in ("train", "validation", "test")]
    return np.sort(np.concatenate(parts).reshape(sum(map(len, parts)), -1), axis=0)


def test_it_is_prepared_as_a_folder_of_this_machine_is(
    s3: S3Server, flowers: str, fetched: list[str], tmp_path: Path
) -> None:
    far = config(f"s3://{flowers}/set")
    one = prepare(far, tmp_path / "data", workers=1)
    assert len(fetched) == 24
    here = prepare(config(str(tmp_path / "here")), tmp_path / "other", workers=1)
    assert np.array_equal(images(one), images(here))
    assert one.classes == here.classes == ("rose", "tulip")
    assert prepare(far, tmp_path / "data", workers=1).fingerprint == one.fingerprint
    assert len(fetched) == 24


def test_what_is_new_is_fetched_alone_and_what_is_gone_is_gone(
    s3: S3Server, flowers: str, fetched: list[str], tmp_path: Path
) -> None:
    far = config(f"s3://{flowers}/set/")
    states = [source_state(far)]
    prepare(far, tmp_path / "data", workers=1)
    fetched.clear()
    s3.put(flowers, "set/rose/new.png", png(100))
    s3.put(flowers, "set/tulip/00.png", png(101))
    states.append(source_state(far))
    assert fetched == []
    more = prepare(far, tmp_path / "data", workers=1)
    assert sorted(fetched) == ["rose/new.png", "tulip/00.png"]
    assert len(images(more)) == 25
    s3.client().delete_object(Bucket=flowers, Key="set/rose/new.png")
    states.append(source_state(far))
    fewer = prepare(far, tmp_path / "data", workers=1)
    assert len(images(fewer)) == 24
    assert len(fetched) == 2
    assert len(set(states)) == 3


def test_a_fetch_that_broke_off_goes_on(
    s3: S3Server, flowers: str, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noting = S3Reader.fetch

    def breaking(self: S3Reader, key: str, file: io.BufferedWriter, etag: str) -> None:
        if key == "tulip/22.png":
            raise StorageError("the line is cut", where=key)
        noting(self, key, file, etag)

    monkeypatch.setattr(S3Reader, "fetch", breaking)
    with pytest.raises(StorageError, match="the line is cut"):
        prepare(config(f"s3://{flowers}/set"), tmp_path / "data", workers=1)
    before = set(fetched)
    fetched.clear()
    monkeypatch.setattr(S3Reader, "fetch", noting)
    prepare(config(f"s3://{flowers}/set"), tmp_path / "data", workers=1)
    assert "tulip/22.png" in fetched
    assert not before & set(fetched)


def test_an_object_that_is_another_by_the_time_it_is_fetched_is_not_taken_for_the_one_listed(
    s3: S3Server, flowers: str, tmp_path: Path
) -> None:
    reader = S3Reader(f"s3://{flowers}/set")
    entries = reader.entries("rose/01.png")
    other = png(1)[:-1] + b"!"  # of the same size
    s3.put(flowers, "set/rose/01.png", other)
    with pytest.raises(StorageError, match=r"rose/01\.png changed while it was read"):
        follow(reader, tmp_path / "copy", entries, lambda done, total: None)
    files = follow(reader, tmp_path / "copy", reader.entries("rose/01.png"), lambda *_: None)
    s3.client().delete_object(Bucket=flowers, Key="set/rose/03.png")
    with pytest.raises(StorageError, match=r"rose/03\.png changed"):
        follow(reader, tmp_path / "other", [Entry("rose/03.png", 1, "e")], lambda *_: None)
    assert [path.read_bytes() for path in files.rglob("*.png")] == [other]


def test_a_fetch_that_was_killed_leaves_no_record_of_what_it_replaced(
    s3: S3Server, flowers: str, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is the next version of what the record says, and the bucket goes back."""
    reader, first = S3Reader(f"s3://{flowers}/set"), png(1)

    def follows() -> bytes:
        found = reader.entries("rose/01.png")
        return (
            follow(reader, tmp_path / "copy", found, lambda *_: None) / found[0].key
        ).read_bytes()

    assert follows() == first
    keep, kept = follow_module._keep, []

    def killed(folder: Path, told: dict[str, list[object]]) -> None:
        kept.append(told)
        if len(kept) > 1:
            raise KeyboardInterrupt
        keep(folder, told)

    s3.put(flowers, "set/rose/01.png", first[:-1] + b"!")
    monkeypatch.setattr(follow_module, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        follows()
    monkeypatch.setattr(follow_module, "_keep", keep)
    s3.put(flowers, "set/rose/01.png", first)
    assert follows() == first


def test_the_record_is_written_a_few_times_however_many_files_there_are(
    s3: S3Server, flowers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, kept = follow_module._keep, []

    def keeping(folder: Path, told: dict[str, list[object]]) -> None:
        kept.append(len(told))
        keep(folder, told)

    monkeypatch.setattr(follow_module, "_keep", keeping)
    monkeypatch.setattr(follow_module, "TOGETHER", 1)
    monkeypatch.setattr(follow_module, "RECORDS", 3)
    reader = S3Reader(f"s3://{flowers}/set")
    entries = [one for one in reader.entries() if one.key.endswith("0.png")]
    follow(reader, tmp_path / "few", entries, lambda *_: None)
    assert kept == [0, 1, 2, 3, 3]
    kept.clear()
    entries = [one for one in reader.entries() if one.key.endswith(".png")]
    follow(reader, tmp_path / "many", entries, lambda *_: None)
    assert kept == [0, 9, 18, 25, 25]


def test_an_npz_is_one_object(s3: S3Server, flowers: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    image_NHW = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8)
    np.savez(file, images=image_NHW, labels=np.arange(40) % 2)
    s3.put(flowers, "arrays/set.npz", file.getvalue())
    s3.put(flowers, "arrays/set.npz.old", b"another")
    source = Arrays(path=f"s3://{flowers}/arrays/set.npz")
    dataset = prepare(DataConfig(source=source), tmp_path / "data", workers=1)
    assert len(images(dataset)) == 40


def test_where_there_is_nothing_to_read_it_says_what_there_is(s3: S3Server, flowers: str) -> None:
    s3.put(flowers, "records/a.tfrecord", b"1")
    with pytest.raises(DataError, match=r"holds nothing to read, but 1 \.tfrecord"):
        source_state(config(f"s3://{flowers}/records"))
    with pytest.raises(DataError, match="nowhere holds nothing to read"):
        source_state(config(f"s3://{flowers}/nowhere"))
    with pytest.raises(NotFound, match="no such bucket"):
        source_state(config("s3://no-such-bucket-here/set"))
    with pytest.raises(ConfigError, match="is not s3://bucket/prefix"):
        source_state(config("s3://"))


@pytest.mark.parametrize(
    "key", ["../x.png", "/x.png", "a//x.png", "./x.png", "a\\x.png", "x" * 300]
)
def test_a_key_that_is_no_name_of_a_file_is_refused_before_anything_is_fetched(
    key: str, tmp_path: Path
) -> None:
    entries = [Entry("good.png", 1, "e"), Entry(key, 1, "e")]
    with pytest.raises(StorageError, match=r"is no name of a file|is not a key inside"):
        follow(S3Reader("s3://b/p"), tmp_path / "copy", entries, lambda done, total: None)
    assert not (tmp_path / "copy").exists()


def test_an_object_below_another_is_refused(tmp_path: Path) -> None:
    entries = [Entry("a.png", 1, "e"), Entry("a.png/b.png", 1, "e")]
    with pytest.raises(StorageError, match=r"a\.png/b\.png lies below an object"):
        follow(S3Reader("s3://b/p"), tmp_path, entries, lambda done, total: None)


def test_more_than_there_is_room_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"takes 1e\+09 GB more here"):
        follow(S3Reader("s3://b/p"), tmp_path, [Entry("a", 10**18, "e")], lambda done, total: None)


def test_a_bucket_is_a_target_of_its_own() -> None:
    found = load("s3://bucket/my/Flowers/")
    assert found.data.source == Folder(path="s3://bucket/my/Flowers")
    assert found.name == "flowers"
    assert overlay(found, {"data.size": 16}).data.size == 16
