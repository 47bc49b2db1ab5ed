"""Preparation as a whole: the same result however it came about, and nothing done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib.config import DataConfig
from ganlib.data import Dataset, prepare
from ganlib.data.dataset import write_manifest
from ganlib.data.decode import Shape
from ganlib.data.pool import DecodingPool
from ganlib.errors import Damaged, NotFound
from tests.data.conftest import MakeFolder, folder_config


def _same(one: Dataset, two: Dataset) -> bool:
    return one.fingerprint == two.fingerprint and all(
        torch.equal(one.load(split).image_NHWC, two.load(split).image_NHWC)
        and torch.equal(one.load(split).label_N, two.load(split).label_N)
        for split in one.counts
    )


def test_the_number_of_workers_changes_nothing(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=3, each=100)
    config = folder_config(root, size=64, shard_images=64)
    one, three = (prepare(config, tmp_path / str(n), workers=n) for n in (1, 3))
    assert _same(one, three)
    assert one.shards == three.shards
    assert [shard.rows for shard in one.shards] == [64] * 4 + [44]


def test_added_files_alone_are_decoded(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(classes=3, each=20)
    before = prepare(folder_config(root), tmp_path / "out", workers=1)
    asked: list[str] = []
    ask = DecodingPool._ask

    def counting(pool: DecodingPool, files: list[str | bytes]) -> object:
        asked.extend(map(str, files))
        return ask(pool, files)

    monkeypatch.setattr(DecodingPool, "_ask", counting)
    shutil.copy(root / "digit-0" / "003.png", root / "digit-0" / "aaa.png")
    after = prepare(folder_config(root), tmp_path / "out", workers=1)
    assert asked == [str(root / "digit-0" / "aaa.png")]
    assert _same(after, prepare(folder_config(root), tmp_path / "fresh", workers=1))
    assert after.manifest["duplicates"]["exact"]["groups"] == 1
    table = after.duplicates()
    exact = table[table["kind"] == "exact"]
    assert exact["file"].tolist() == ["digit-0/003.png", "digit-0/aaa.png"]
    assert Dataset.open(tmp_path / "out", before.fingerprint).load("train") is not None


def test_a_prepared_set_answers_at_once(make_folder: MakeFolder, tmp_path: Path) -> None:
    config = folder_config(make_folder(classes=2, each=20))
    first = prepare(config, tmp_path / "out", workers=1)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "shards").iterdir()}
    second = prepare(config, tmp_path / "out", workers=1)
    assert _same(first, second)
    assert times == {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "shards").iterdir()}


def test_a_set_is_read_on_while_others_prepare_it(make_folder: MakeFolder, tmp_path: Path) -> None:
    """A second preparation lists the shards it finds by name, not as the first one wrote them; a
    third finds some of the images in other shards."""
    config = folder_config(make_folder(classes=3, each=100), shard_images=40)
    first = prepare(config, tmp_path / "out", workers=1)
    written = first.shards
    second = prepare(config, tmp_path / "out", workers=1)
    assert [shard.file for shard in written] != sorted(shard.file for shard in written)
    assert second.shards == written
    assert _same(first, second)
    (tmp_path / "out" / "shards" / written[1].file).unlink()
    third = prepare(config.model_copy(update={"shard_images": 7}), tmp_path / "out", workers=1)
    assert third.fingerprint == first.fingerprint
    assert third.shards != written
    assert (tmp_path / "out" / first.manifest["index"]["file"]).is_file()


def test_processes_that_prepare_one_new_folder_at_once_read_the_same_set(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    config = folder_config(make_folder(classes=3, each=100), shard_images=40)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, config.model_dump_json(), str(tmp_path / "out")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    prepared = [child.stdout.readline() for child in children if child.stdout is not None]
    # All have prepared it before any of them reads.
    told = [child.communicate("go\n") for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], told
    assert len(set(prepared)) == len({out for out, _ in told}) == 1


TOGETHER = """
import hashlib, sys
from pathlib import Path
from ganlib.config import DataConfig
from ganlib.data import prepare
made = prepare(DataConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), workers=1)
print(made.fingerprint, flush=True)
sys.stdin.readline()
print(hashlib.sha256(made.load("train").image_NHWC.numpy().tobytes()).hexdigest())
"""


KILLED = """
import sys
from pathlib import Path
from ganlib.config import DataConfig
from ganlib.data import prepare
config = DataConfig.model_validate_json(sys.argv[1])
prepare(config, Path(sys.argv[2]), workers=2, progress=lambda *now: print(*now, flush=True))
"""


def test_killed_in_the_middle_it_goes_on(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=4, each=80)
    config = folder_config(root, size=128, shard_images=128)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, config.model_dump_json(), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line.split()[-2]) >= 100:
            break
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    asked = 0
    ask = DecodingPool._ask

    def counting(pool: DecodingPool, files: list[str | bytes]) -> object:
        nonlocal asked
        asked += len(files)
        return ask(pool, files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DecodingPool, "_ask", counting)
        resumed = prepare(config, tmp_path / "out", workers=2)
    assert 0 < asked <= 220
    assert _same(resumed, prepare(config, tmp_path / "whole", workers=2))
    assert not list((tmp_path / "out" / "shards").glob("*partial*"))


def test_workers_end_with_their_parent(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(classes=2, each=150)
    config = folder_config(root, size=128)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, config.model_dump_json(), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    threads = Path(f"/proc/{child.pid}/task").iterdir()
    for thread in threads:
        children += (thread / "children").read_text().split()
    child.kill()
    child.wait()
    assert children
    deadline = time.monotonic() + 30
    while any(_runs(pid) for pid in children):
        assert time.monotonic() < deadline
        os.sched_yield()


def _runs(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_decoder_that_crashes_costs_one_file(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is real; it is told to end itself when it meets one name."""
    root = make_folder(classes=2, each=6)
    package = tmp_path / "crashing"
    package.mkdir()
    (package / "sitecustomize.py").write_text(
        "import os, sys\n"
        "from PIL import Image\n"
        "plain = Image.open\n"
        "def crash(file, *rest, **more):\n"
        "    if str(file).endswith('digit-0/002.png'):\n"
        "        os.abort()\n"
        "    return plain(file, *rest, **more)\n"
        "Image.open = crash\n"
    )
    monkeypatch.syspath_prepend(str(package))
    dataset = prepare(folder_config(root, max_bad_fraction=0.5), tmp_path / "out", workers=1)
    assert dataset.skipped().to_dict("records") == [
        {"file": "digit-0/002.png", "reason": "the decoder crashed on it"}
    ]
    assert sum(dataset.counts.values()) == 11


@pytest.fixture
def prepared(make_folder: MakeFolder, tmp_path: Path) -> tuple[DataConfig, Dataset]:
    config = folder_config(make_folder(classes=2, each=20), shard_images=16)
    return config, prepare(config, tmp_path / "out", workers=1)


def test_an_interruption_does_not_wait_for_what_is_decoding(tmp_path: Path) -> None:
    def blocks() -> Iterator[tuple[int, list[str | bytes]]]:
        yield 0, [str(tmp_path / f"{number}.png") for number in range(3)]
        while not pool._all:
            time.sleep(0.01)
        pool._all[0].process.send_signal(signal.SIGSTOP)  # under way, and never done
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), DecodingPool(Shape(8, 1, "crop", 10**6), 1) as pool:
        list(pool.map(blocks()))
    assert len(pool._all) == 1
    assert pool._all[0].process.poll() is not None


def test_statistics_are_those_of_the_training_images(prepared: tuple[DataConfig, Dataset]) -> None:
    dataset = prepared[1]
    values = dataset.load("train").image_NHWC.numpy().reshape(-1, 3) / 255
    assert dataset.mean == pytest.approx(values.mean(axis=0))
    assert dataset.std == pytest.approx(values.std(axis=0))
    for split, count in dataset.counts.items():
        labels = dataset.load(split).label_N.numpy()
        assert len(labels) == count
        assert np.bincount(labels).tolist() == list(dataset.class_counts[split])


def test_a_damaged_shard_is_named_and_made_again(prepared: tuple[DataConfig, Dataset]) -> None:
    config, dataset = prepared
    whole = {split: dataset.load(split).image_NHWC for split in dataset.counts}
    path = dataset.folder / "shards" / dataset.shards[0].file
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged, match=f"{path} is damaged: its checksum.*\n.*prepare --fresh"):
        _ = [dataset.load(split) for split in dataset.counts]
    again = prepare(config, dataset.folder, workers=1)
    assert all(torch.equal(again.load(split).image_NHWC, whole[split]) for split in whole)


@pytest.mark.parametrize("cut", [0, 100, 5000])
def test_a_cut_or_missing_shard_is_named(prepared: tuple[DataConfig, Dataset], cut: int) -> None:
    config, dataset = prepared
    path = dataset.folder / "shards" / dataset.shards[0].file
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Damaged, match=f"{path} is {cut} bytes long"):
        Dataset.open(dataset.folder, dataset.fingerprint)
    path.unlink()
    with pytest.raises(Damaged, match=f"{path} is missing"):
        Dataset.open(dataset.folder, dataset.fingerprint)
    assert prepare(config, dataset.folder, workers=1).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 1}'])
def test_a_damaged_manifest_is_named_and_made_again(
    prepared: tuple[DataConfig, Dataset], damage: bytes
) -> None:
    config, dataset = prepared
    path = dataset.folder / f"manifest-{dataset.fingerprint}.json"
    path.write_bytes(damage or path.read_bytes().replace(b'"size": 16', b'"size": 32'))
    with pytest.raises(Damaged, match=f"{path} is damaged") as caught:
        Dataset.open(dataset.folder, dataset.fingerprint)
    assert "prepare --fresh" in caught.value.hint
    prepare(config, dataset.folder, workers=1)
    assert Dataset.open(dataset.folder, dataset.fingerprint).counts == dataset.counts


@pytest.mark.parametrize("place", ["shards", "index", "skipped", "duplicates"])
def test_names_in_a_manifest_stay_in_its_folder(
    prepared: tuple[DataConfig, Dataset], place: str
) -> None:
    """Written by who can write there, with the right checksum."""
    dataset = prepared[1]
    for name in ("../outside", "/etc/passwd", "shards/../../outside", ".hidden", ""):
        content = json.loads(json.dumps(dataset.manifest))
        if place == "shards":
            content["shards"][0]["file"] = name
        else:
            content[place]["file" if place == "index" else "table"] = name
        write_manifest(dataset.folder, content)
        with pytest.raises(Damaged, match="names a file that is not beside it"):
            Dataset.open(dataset.folder, dataset.fingerprint)


def test_what_was_never_prepared_is_not_found(prepared: tuple[DataConfig, Dataset]) -> None:
    dataset = prepared[1]
    with pytest.raises(NotFound, match="no data set 0123"):
        Dataset.open(dataset.folder, "0123")
    with pytest.raises(NotFound, match="no split 'dev'"):
        dataset.load("dev")


@pytest.mark.data
def test_flowers_and_their_copies(flowers: Path, tmp_path: Path) -> None:
    """The shared set hides a training picture among its test pictures; it is found."""
    log: list[tuple[str, int, int]] = []
    dataset = prepare(
        folder_config(flowers, size=32),
        tmp_path,
        progress=lambda what, done, total: log.append((what, done, total)),
    )
    assert dataset.counts["test"] == 430
    assert dataset.counts["train"] + dataset.counts["validation"] == 3881
    assert dataset.classes == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    assert log[-1] == ("preparing", 4311, 4311)
    near = dataset.duplicates()
    leaks = near.groupby("group").filter(lambda group: group["split"].nunique() > 1)
    assert "test/daisy/10466290366_cc72e33532.jpg" in leaks["file"].tolist()
    assert dataset.manifest["duplicates"]["near"]["across_splits"] == 1


FULL = """
import resource, signal, sys
from pathlib import Path
from ganlib.config import DataConfig
from ganlib.data import prepare
from ganlib.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    prepare(DataConfig(), Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_named(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk; the next preparation is whole."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert f"cannot write {tmp_path}/shards/partial-" in done.stdout
    assert sum(prepare(DataConfig(), tmp_path).counts.values()) == 1797
