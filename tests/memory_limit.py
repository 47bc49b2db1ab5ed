"""A memory group of the kernel for processes of a test, where the machine lets one be made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

VERSION_1 = Path("/sys/fs/cgroup/memory")
VERSION_2 = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Group:
    folder: Path
    peak_file: str

    def join(self) -> None:
        """Of the calling process; a child calls it before it becomes a program."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self) -> int:
        """Bytes, cached files counted."""
        return int((self.folder / self.peak_file).read_text())


@contextmanager
def memory_limit(count: int) -> Iterator[Group]:
    """A group of at most `count` bytes; the test is skipped where none can be made."""
    for top, limit, peak in (
        (VERSION_1, "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
        (VERSION_2, "memory.max", "memory.peak"),
    ):
        folder = top / f"ganlib-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if not (folder / limit).exists():
                continue
            (folder / limit).write_text(str(count))
            yield Group(folder, peak)
            return
        finally:
            folder.rmdir()
    pytest.skip("no memory group of the kernel can be made here")
