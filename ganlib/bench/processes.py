"""Measurements in processes of their own: nothing that one leaves in memory touches another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

from ganlib.errors import StageFailed


def measure(asked: Mapping[str, Any], module: str = "sides") -> dict[str, Any]:
    """What `ganlib.bench.MODULE` tells, asked so.

    Raises StageFailed with the end of what it wrote if it fails.
    """
    with _started(asked, module) as (process, written):
        return _Player(process, written).end()


@contextmanager
def player(asked: Mapping[str, Any]) -> Iterator[_Player]:
    """One side of `ganlib.bench.sides`, which trains when told; gone afterwards, come what may."""
    with _started({**asked, "turns": True}, "sides") as (process, written):
        yield _Player(process, written)


class _Player:
    def __init__(self, process: subprocess.Popen[str], written: IO[str]) -> None:
        self._process, self._written = process, written

    def turn(self, seconds: float) -> float:
        """Images/s over so many seconds, from where it stood."""
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None
        return float(self._told()["images_per_s"])

    def end(self) -> dict[str, Any]:
        """What it tells last."""
        assert self._process.stdin
        self._process.stdin.close()
        told = self._told()
        if self._process.wait():
            raise self._failed()
        return told

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries print too
                told: dict[str, Any] = json.loads(line)
                return told
        raise self._failed()

    def _failed(self) -> StageFailed:
        self._process.wait()
        self._written.seek(0)
        end = self._written.read().strip()[-500:]
        return StageFailed(f"a measurement failed: {end}", where="ganlib bench")


@contextmanager
def _started(
    asked: Mapping[str, Any], module: str
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    call = f"from ganlib.bench.{module} import main; main()"
    with tempfile.TemporaryFile("w+") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", call, json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
            env=environment,
        )
        try:
            yield process, written
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):  # what it was never to read
                    pipe.close()  # type: ignore[union-attr]
