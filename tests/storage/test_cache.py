"""A bounded cache that processes share."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from ganlib.errors import Damaged, StorageError
from ganlib.storage import Cache

SIZE = 100


def contents(name: str) -> bytes:
    return name.encode() * (SIZE // len(name))


class Origin:
    """Gives what is asked for and remembers it."""

    def __init__(self, delay: float = 0) -> None:
        self.delay = delay
        self.asked = list[str]()

    def take(self, cache: Cache, name: str, data: bytes | None = None) -> Path | None:
        def fetch(file: BinaryIO) -> None:
            self.asked.append(name)
            time.sleep(self.delay)
            file.write(contents(name) if data is None else data)

        return cache.take(name, SIZE, hashlib.sha256(contents(name)).hexdigest(), fetch)


def kept(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "files").iterdir())


def aged(root: Path, name: str, seconds: int) -> None:
    path = root / "files" / name
    os.utime(path, (path.stat().st_atime - seconds, path.stat().st_mtime - seconds))


def test_a_file_is_fetched_once_and_found_again(tmp_path: Path) -> None:
    origin, cache = Origin(), Cache(tmp_path, 3 * SIZE)
    assert cache.find("aaaa", SIZE) is None
    path = origin.take(cache, "aaaa")
    assert path is not None
    assert path.read_bytes() == contents("aaaa")
    assert origin.take(Cache(tmp_path, 3 * SIZE), "aaaa") == path
    assert cache.find("aaaa", SIZE) == path
    assert origin.asked == ["aaaa"]


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    origin, before = Origin(), Cache(tmp_path, 3 * SIZE)
    for name in ("aaaa", "bbbb", "cccc"):
        origin.take(before, name)
    before.release()
    for name, age in (("aaaa", 300), ("bbbb", 200), ("cccc", 100)):
        aged(tmp_path, name, age)
    now = Cache(tmp_path, 3 * SIZE)
    assert now.find("aaaa", SIZE) is not None  # the oldest is used again
    now.release()
    origin.take(now, "dddd")
    assert kept(tmp_path) == ["aaaa", "cccc", "dddd"]


def test_what_is_in_use_stays_and_the_limit_holds(tmp_path: Path) -> None:
    origin, one, two = Origin(), Cache(tmp_path, 2 * SIZE), Cache(tmp_path, 2 * SIZE)
    origin.take(one, "aaaa")
    origin.take(two, "bbbb")
    assert origin.take(two, "cccc") is None
    assert kept(tmp_path) == ["aaaa", "bbbb"]
    one.release()
    assert origin.take(two, "cccc") is not None
    assert kept(tmp_path) == ["bbbb", "cccc"]
    assert origin.take(Cache(tmp_path, SIZE - 1), "dddd") is None


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path) -> None:
    origin, cache = Origin(), Cache(tmp_path, 3 * SIZE)
    with pytest.raises(Damaged, match="aaaa is damaged where it comes from"):
        origin.take(cache, "aaaa", b"x" * SIZE)
    with pytest.raises(Damaged):
        origin.take(cache, "aaaa", contents("aaaa")[:-1])
    assert kept(tmp_path) == []
    assert origin.take(cache, "aaaa") is not None


def test_a_file_that_lost_its_end_is_fetched_again(tmp_path: Path) -> None:
    origin, cache = Origin(), Cache(tmp_path, 3 * SIZE)
    path = origin.take(cache, "aaaa")
    assert path is not None
    path.write_bytes(b"a")
    assert cache.find("aaaa", SIZE) is None
    assert origin.take(cache, "aaaa") == path
    assert path.read_bytes() == contents("aaaa")


def test_threads_that_evict_what_others_finish_do_not_fall_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, listed = Origin(delay=0.05), Path.iterdir

    def slowly(folder: Path) -> Iterator[Path]:
        for path in list(listed(folder)):
            time.sleep(0.004)
            yield path

    monkeypatch.setattr(Path, "iterdir", slowly)

    def take(number: int) -> bool:
        cache = Cache(tmp_path, 8 * SIZE)
        try:
            if number % 5:
                return origin.take(cache, f"{number:04}") is not None
            with pytest.raises(Damaged):
                origin.take(cache, f"{number:04}", b"")
            return True
        finally:
            cache.release()

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(take, range(40)))
    assert len(kept(tmp_path)) <= 8


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="GANLIB_CACHE"):
        Cache(tmp_path / "file", SIZE)


PROCESS = """
import hashlib, os, sys, time
from pathlib import Path
from ganlib.storage import Cache
root, name, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
data = name.encode() * 25

def fetch(file):
    with open(root / "asked", "a") as asked:
        asked.write(name + "\\n")
    file.write(data[:50])
    file.flush()
    if how == "die":
        os._exit(9)
    time.sleep(0.3)
    file.write(data[50:])

cache = Cache(root, 200)
path = cache.take(name, 100, hashlib.sha256(data).hexdigest(), fetch)
assert path.read_bytes() == data
print("taken", flush=True)
sys.stdin.read()
"""


def process(root: Path, name: str, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(root), name, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_of_processes_one_fetches_and_leases_end_with_them(tmp_path: Path) -> None:
    both = [process(tmp_path, "aaaa", "stay") for _ in range(2)]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "taken\n"
    assert (tmp_path / "asked").read_text() == "aaaa\n"
    origin, cache = Origin(), Cache(tmp_path, 100)
    assert origin.take(cache, "bbbb") is None  # they use it
    for one in both:
        one.kill()
        one.wait()
    assert origin.take(cache, "bbbb") is not None
    assert kept(tmp_path) == ["bbbb"]


def test_what_a_killed_fetch_left_is_no_file_and_takes_no_room(tmp_path: Path) -> None:
    assert process(tmp_path, "aaaa", "die").wait() == 9
    assert kept(tmp_path) == ["part-aaaa"]
    origin, cache = Origin(), Cache(tmp_path, SIZE)
    assert origin.take(cache, "bbbb") is not None
    assert kept(tmp_path) == ["bbbb"]


def test_a_killed_fetch_is_done_again(tmp_path: Path) -> None:
    assert process(tmp_path, "aaaa", "die").wait() == 9
    path = Origin().take(Cache(tmp_path, SIZE), "aaaa")
    assert path is not None
    assert path.read_bytes() == contents("aaaa")
    assert kept(tmp_path) == ["aaaa"]
