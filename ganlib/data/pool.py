"""Decoding in processes, results in order, with a small window of work ahead.

`prepare` pulls; nothing is read or decoded further ahead than the window, so memory does not grow
with the number of files.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from ganlib.data.decode import Shape
from ganlib.data.measure import Measured, measure

T = TypeVar("T")
AHEAD = 2  # blocks per worker that are decoding, or done and waiting for their turn


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))


class DecodingPool:
    """A thread for each worker process hands it a block and waits for the pixels."""

    def __init__(self, shape: Shape, workers: int | None = None) -> None:
        self.shape = shape
        self.workers = max(1, workers or usable_cores())
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        self._own = threading.local()
        self._all: list[_Worker] = []
        self._closing = False
        self._lock = threading.Lock()

    def __enter__(self) -> DecodingPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=error is None, cancel_futures=True)
        with self._lock:
            self._closing = True
        for worker in self._all:
            worker.stop()
        self._threads.shutdown()

    def map(
        self, blocks: Iterable[tuple[T, list[str | bytes]]]
    ) -> Iterator[tuple[T, Measured | None]]:
        """Each block's tag with its files measured, in order; None where there are no files."""
        waiting: deque[tuple[T, Future[Measured] | None]] = deque()
        busy = 0
        for tag, files in blocks:
            waiting.append((tag, self._threads.submit(self._decode, files) if files else None))
            busy += bool(files)
            while waiting and (waiting[0][1] is None or busy > self.workers * AHEAD):
                first, future = waiting.popleft()
                busy -= future is not None
                yield first, future.result() if future else None
        for last, future in waiting:
            yield last, future.result() if future else None

    def _decode(self, files: list[str | bytes]) -> Measured:
        measured = self._ask(files)
        if measured is not None:
            return measured
        # The process died. One file at a time finds the one that kills it.
        singles = [self._ask([file]) for file in files]
        blank = np.zeros((1, self.shape.size, self.shape.size, self.shape.channels), np.uint8)
        dead = "the decoder crashed on it"
        found = [single or measure(blank, [dead]) for single in singles]
        return measure(
            np.concatenate([one.image_NHWC for one in found]), [one.reasons[0] for one in found]
        )

    def _ask(self, files: list[str | bytes]) -> Measured | None:
        worker: _Worker | None = getattr(self._own, "worker", None)
        with self._lock:
            if self._closing:  # it was ended, not killed by a file: nobody wants the answer
                raise _Closed
            if worker is None or not worker.alive:
                worker = self._own.worker = _Worker(self.shape)
                self._all.append(worker)
        return worker.decode(files)


class _Closed(Exception):
    """The pool ends; what is still under way comes to nothing."""


class _Worker:
    def __init__(self, shape: Shape) -> None:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        # Arrays here are small: more threads than one only fight with the other workers.
        environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganlib.data.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.alive = True
        self._send(shape)

    def decode(self, files: list[str | bytes]) -> Measured | None:
        """None if the process died on the way."""
        if not self._send(files):
            return None
        try:
            answer: Measured = pickle.load(self.process.stdout)  # type: ignore[arg-type]
            return answer
        except (EOFError, OSError, pickle.UnpicklingError):
            self.stop()
            return None

    def stop(self) -> None:
        """End the process; a decode under way answers None."""
        self.alive = False
        self.process.kill()
        self.process.wait()

    def _send(self, value: Any) -> bool:
        assert self.process.stdin is not None
        try:
            pickle.dump(value, self.process.stdin, protocol=5)
            self.process.stdin.flush()
            return True
        except OSError:
            self.stop()
            return False
