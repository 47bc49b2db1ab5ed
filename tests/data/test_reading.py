"""Images left in shards, on this machine or in S3, are the images that would be in memory."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from ganlib.config import DataConfig, Reading
from ganlib.data import Dataset, Images, StoredImages, open_images, open_set, prepare, remote
from ganlib.data.images import StoredRows
from ganlib.data.room import free_memory
from ganlib.errors import Damaged, NotFound, StorageError
from tests.s3 import S3Server

CPU = torch.device("cpu")
SHARD = 256


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(DataConfig(shard_images=SHARD), tmp_path_factory.mktemp("made"), workers=1)


@pytest.fixture
def dataset(made: Dataset, tmp_path: Path) -> Dataset:
    """One that a test may spoil."""
    shutil.copytree(made.folder, tmp_path / "data")
    return Dataset.open(tmp_path / "data", made.fingerprint)


def shard_file(dataset: Dataset, number: int) -> Path:
    return dataset.folder / "shards" / dataset.shards[number].file


def spoil(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def some(total: int, count: int = 200) -> Tensor:
    return torch.randint(0, total, (count,), generator=torch.Generator().manual_seed(1))


def equal(found: Images | StoredImages, wanted: Images) -> None:
    """Wherever one looks: by index, again and again, in any shape, and by slices."""
    index_B = some(len(wanted))
    assert len(found) == len(wanted)
    assert tuple(found.image_NHWC.shape) == tuple(wanted.image_NHWC.shape)
    for left, right in zip(found.batch(index_B), wanted.batch(index_B), strict=True):
        assert torch.equal(left, right)
    assert torch.equal(found.label_N, wanted.label_N)
    for pick in (index_B.view(20, 10), slice(3, 70, 2), slice(None), torch.empty(0).long()):
        assert torch.equal(found.image_NHWC[pick], wanted.image_NHWC[pick])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_stored_images_are_the_loaded_ones(made: Dataset, split: str) -> None:
    stored = made.stored(split)
    equal(stored, made.load(split))
    assert not stored.in_memory
    assert made.bytes_of(split) == made.load(split).image_NHWC.numel()
    with pytest.raises(NotFound, match="splits"):
        made.stored("other")


def test_bad_images_move_no_place(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    """Rows that are in a shard but in no split, and shards that end in a short batch."""
    folder = make_folder(classes=3, each=30)
    (folder / "digit-1" / "005.png").write_bytes(b"no picture")
    config = DataConfig.model_validate(
        {
            "source": {"kind": "folder", "path": str(folder)},
            "channels": 3,
            "size": 12,
            "max_bad_fraction": 0.1,
            "shard_images": 16,
        }
    )
    dataset = prepare(config, tmp_path / "data", workers=1)
    assert len(dataset.skipped()) == 1
    equal(dataset.stored("train"), dataset.load("train"))


def test_more_shards_than_may_be_open(made: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlib.data.mapped.MAPS", 2)
    equal(made.stored("train"), made.load("train"))


def test_a_changed_pixel_is_found_when_it_is_read(dataset: Dataset) -> None:
    spoil(shard_file(dataset, 0), stored_offset(dataset, 0))
    stored, wanted = dataset.stored("train"), stored_shards(dataset)
    fine = torch.from_numpy((wanted != 0).nonzero()[0])
    stored.batch(fine)
    with pytest.raises(Damaged, match=dataset.shards[0].file):
        stored.image_NHWC[:]


def stored_offset(dataset: Dataset, number: int) -> int:
    """A byte of the first training image in a shard."""
    rows = dataset.stored("train").image_NHWC
    return int(rows.places.offset_N[rows.places.shard_N == number][0]) + 5


def stored_shards(dataset: Dataset) -> Any:
    return dataset.stored("train").image_NHWC.places.shard_N


def test_a_changed_digest_is_found_at_the_start(dataset: Dataset) -> None:
    path = shard_file(dataset, 1)
    digest = dataset.stored("train").image_NHWC.places
    wanted = digest.digest_N[digest.shard_N == 1][0].tobytes()
    spoil(path, path.read_bytes().index(wanted))
    with pytest.raises(Damaged, match=dataset.shards[1].file):
        Dataset.open(dataset.folder, dataset.fingerprint).stored("train")


@pytest.mark.parametrize("length", [0, 4, 2000, -1])
def test_a_shard_cut_short_is_named(dataset: Dataset, length: int) -> None:
    path = shard_file(dataset, 1)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(Damaged, match=dataset.shards[1].file):
        dataset.stored("train").image_NHWC[:]


def test_a_shard_that_is_gone_is_named(dataset: Dataset) -> None:
    stored = dataset.stored("train")
    shard_file(dataset, 1).unlink()
    with pytest.raises(Damaged, match=dataset.shards[1].file):
        stored.image_NHWC[:]
    with pytest.raises(Damaged, match=dataset.shards[1].file):
        Dataset.open(dataset.folder, dataset.fingerprint)


@pytest.mark.parametrize(
    ("reading", "room", "in_memory"),
    [
        (Reading(), 2, True),
        (Reading(), 1.9, False),
        (Reading(memory_share=1), 1.9, True),
        (Reading(memory_share=1), 0.9, False),
        (Reading(in_memory="never"), 1000, False),
        (Reading(in_memory="always"), 0, True),
    ],
)
def test_memory_is_chosen_by_what_is_free(
    made: Dataset, monkeypatch: pytest.MonkeyPatch, reading: Reading, room: float, in_memory: bool
) -> None:
    free = math.ceil(room * made.bytes_of("train"))
    monkeypatch.setattr("ganlib.data.choice.free_memory", lambda: free)
    assert open_images(made, "train", reading, CPU).in_memory is in_memory
    monkeypatch.setattr("ganlib.data.choice.free_memory", lambda: 2 * free)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert open_images(made, "train", reading, CPU).in_memory is in_memory


def test_images_for_a_device_without_room_stay_in_memory_beside_it(
    made: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlib.data.choice._left", lambda device: 0)
    found = open_images(made, "train", Reading(in_memory="always"), torch.device("meta"))
    assert isinstance(found, Images)
    assert (found.image_NHWC.device, found.label_N.device.type) == (CPU, "meta")
    assert torch.equal(found.image_NHWC, made.load("train").image_NHWC)
    assert not found.in_memory


STAT_1 = "cache 1\ntotal_active_file 100\ntotal_inactive_file 50\n"
STAT_2 = "anon 1\nactive_file 100\ninactive_file 50\n"


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("", {}, 4096_000),
        ("0::/\n", {"memory.stat": STAT_2}, 4096_000),
        ("0::/a/b\n", {"a/memory.max": "9000", "a/memory.current": "5000"}, 4150),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/b/memory.current": "5"}, 4096_000),
        ("0::/a\n", {"a/memory.max": "100", "a/memory.current": "5000"}, 0),
        ("0::/not/seen/here\n", {"memory.max": "7000", "memory.current": "5000"}, 2150),
        (
            "9:name=systemd:/\n4:memory:/a\n0::/\n",
            {"memory/a/memory.limit_in_bytes": "9000", "memory/a/memory.usage_in_bytes": "5000"},
            4150,
        ),
    ],
)
def test_free_memory_respects_the_container(
    tmp_path: Path, groups: str, files: dict[str, str], free: int
) -> None:
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    (proc / "self" / "cgroup").write_text(groups)
    for name, text in files.items():
        path = cgroup / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
        version_1 = name.startswith("memory/")
        path.with_name("memory.stat").write_text(STAT_1 if version_1 else STAT_2)
    assert free_memory(proc, cgroup) == free


def test_how_images_are_read_is_no_part_of_what_they_are(made: Dataset, tmp_path: Path) -> None:
    config = DataConfig(shard_images=SHARD, reading=Reading(in_memory="never"))
    assert prepare(config, tmp_path, workers=1).fingerprint == made.fingerprint
    assert config.preparation() == DataConfig(shard_images=SHARD).preparation()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"in_memory": "never", "memory_share": 0.2}, "memory_share decides nothing"),
        ({"cache_bytes": 5}, "copy_at, and there is none"),
        ({"copy_at": "gs://bucket"}, "copy_at"),
    ],
)
def test_what_does_not_combine_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Reading.model_validate(settings)


@pytest.fixture(scope="module")
def copy_at(made: Dataset, s3_server: S3Server) -> str:
    bucket = s3_server.bucket("sets")
    s3_server.put_folder(bucket, "digits", made.folder)
    return f"s3://{bucket}/digits"


def cached(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "shards" / "files").iterdir())


@pytest.mark.parametrize("shards", [0, 2, 100])
def test_a_copy_in_s3_gives_the_same_images(
    s3: S3Server, copy_at: str, made: Dataset, tmp_path: Path, shards: int
) -> None:
    """With a cache of none, some and all of the shards; a second run fetches none again."""
    limit = shards * max(shard.bytes for shard in made.shards)
    reading = Reading(copy_at=copy_at, cache_bytes=limit)
    for _ in range(2):
        copy = open_set("", made.fingerprint, reading)
        assert copy.remote is not None
        assert copy.remote.kept == min(shards, len(made.shards))
        assert sum(path.stat().st_size for path in cached(tmp_path)) <= limit
        equal(copy.stored("train"), made.load("train"))
        equal(copy.load("test"), made.load("test"))
        copy.remote.cache.release()
    assert copy.classes == made.classes
    assert len(copy.duplicates()) == len(made.duplicates())
    with pytest.raises(NotFound, match=r"s3://sets/digits/manifest-0\.json"):
        open_set("", "0", reading)


@pytest.mark.parametrize("place", ["index", "pixels", "digests", "footer", "pixels, while open"])
def test_what_is_damaged_in_the_cache_is_fetched_again(
    s3: S3Server, copy_at: str, made: Dataset, tmp_path: Path, place: str
) -> None:
    first = Dataset.open_copy(copy_at, made.fingerprint, 1 << 30)
    places, wanted = first.stored("train").image_NHWC.places, made.load("train")
    path = tmp_path / "cache" / "shards" / "files" / made.shards[int(places.shard_N[0])].file
    before, again = path.read_bytes(), first
    match place:
        case "index":
            path = first.folder / first.manifest["index"]["file"]
            before = path.read_bytes()
            spoil(path, 200)
        case "digests":
            spoil(path, before.index(places.digest_N[0].tobytes()))
        case "footer":
            spoil(path, len(before) - 9)
        case _:
            spoil(path, int(places.offset_N[0]) + 5)
    if place != "pixels, while open":
        again = Dataset.open_copy(copy_at, made.fingerprint, 1 << 30)
    equal(again.stored("train"), wanted)
    assert path.read_bytes() == before


def test_what_changed_in_s3_is_named(
    s3: S3Server, made: Dataset, dataset: Dataset, tmp_path: Path
) -> None:
    """A shard fetched whole is checked then, a single image when it is read."""
    spoil(shard_file(dataset, 0), stored_offset(dataset, 0))
    bucket = s3.bucket("spoilt")
    s3.put_folder(bucket, "set", dataset.folder)
    uri, name = f"s3://{bucket}/set", dataset.shards[0].file
    with pytest.raises(Damaged, match=rf"^{uri}/shards/{name}(.|\n)*upload it again"):
        Dataset.open_copy(uri, made.fingerprint, 1 << 30)
    assert name not in [path.name for path in cached(tmp_path)]
    stored = Dataset.open_copy(uri, made.fingerprint, 0).stored("train")
    with pytest.raises(Damaged, match=f"s3://spoilt/set/shards/{name}"):
        stored.image_NHWC[:]
    spoil(shard_file(dataset, 0), stored_offset(dataset, 0))
    s3.client().delete_object(Bucket=bucket, Key=f"set/shards/{name}")
    with pytest.raises(NotFound, match=f"s3://spoilt/set/shards/{name}"):
        stored.image_NHWC[:]


def test_images_that_lie_close_are_asked_for_together(
    s3: S3Server, copy_at: str, made: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = Dataset.open_copy(copy_at, made.fingerprint, 0).stored("train")
    asked = list[int]()
    reader = stored.image_NHWC.shelf.reader  # type: ignore[attr-defined]
    honest = reader.read_range

    def counting(key: str, start: int, length: int) -> bytes:
        asked.append(length)
        return bytes(honest(key, start, length))

    monkeypatch.setattr(reader, "read_range", counting)
    stored.image_NHWC[:]
    together = len(asked)
    monkeypatch.setattr(remote, "GAP", -1)
    stored.image_NHWC[:50]
    assert together < 4 * len(made.shards)
    assert len(asked) - together == 50


def test_a_set_is_prepared_without_torch() -> None:
    import subprocess

    code = "import sys; import ganlib.data.preparation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_row_of_another_shape_is_not_checked_away(made: Dataset) -> None:
    """Every image that is read is compared: none slips through by being picked twice."""
    rows = made.stored("train").image_NHWC
    places = rows.places.pick(some(len(rows)).numpy())
    places.digest_N.flags.writeable = True
    places.digest_N[-1] = places.digest_N[0]
    with pytest.raises(StorageError, match="not the one that was prepared"):
        StoredRows(rows.shelf, places, rows.pixels)[:]
