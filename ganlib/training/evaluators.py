"""Who takes looks while training goes on: a protocol, a child process, and nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ganlib.training.look import Look
from ganlib.training.spec import RunSpec

RETRIES = 2
POLL_S = 0.01


class Unavailable(Exception):
    """A look that will not be taken over there, and why: whoever asked takes it."""


class Evaluator(Protocol):
    """Takes looks one after the other, in the order they were asked for."""

    def ask(self, look: Look) -> None:
        """Returns at once."""

    def wait(self, look: Look, seconds: float) -> bool:
        """Whether what it found is there within so many seconds; raises Unavailable.

        Looks that were lost with a process are asked of another, of `RETRIES` in a run.
        """

    def close(self) -> None:
        """What is not taken yet is not wanted any more."""


class Nobody:
    """Where there is no room for an evaluator: the trainer takes every look, when it is wanted."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def ask(self, look: Look) -> None: ...

    def wait(self, look: Look, seconds: float) -> bool:
        raise Unavailable(self.reason)

    def close(self) -> None: ...


class ChildProcess:
    """A process of this one's, which ends with it; what it says goes to `log`."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[str] | None = None
        self.asked: list[Look] = []
        self.lost = 0

    def ask(self, look: Look) -> None:
        self.asked.append(look)
        if self.process is None:
            self._start()
        else:
            self._send(look)

    def wait(self, look: Look, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not look.path.exists():
            if self.process is None or self.process.poll() is not None:
                self._start_again()
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            with suppress(OSError):
                assert self.process.stdin is not None
                self.process.stdin.close()
        self.process = None

    def _start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from ganlib.training.look import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                text=True,
            )
        self.asked = [look for look in self.asked if not look.path.exists()]
        for look in self.asked:
            self._send(look)

    def _start_again(self) -> None:
        self.lost += 1
        self.close()
        if self.lost > RETRIES:
            raise Unavailable(f"its process was lost {self.lost} times: {self.log} says why")
        self._start()

    def _send(self, look: Look) -> None:
        """To a process that is gone nothing is sent; whoever waits finds that out."""
        with suppress(OSError):
            assert self.process is not None
            assert self.process.stdin is not None
            self.process.stdin.write(look.model_dump_json() + "\n")
            self.process.stdin.flush()


def nearby(spec: RunSpec) -> Evaluator:
    """A child process where there is a core for it beside the workers, or nobody."""
    cores, wanted = len(os.sched_getaffinity(0)), (spec.workers + 1) * spec.threads
    if wanted > cores:
        return Nobody(f"training takes {wanted - spec.threads} of {cores} cores")
    return ChildProcess(Path(spec.run_folder) / "evaluator.log")
