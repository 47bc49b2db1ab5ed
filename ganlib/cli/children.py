"""Server processes that end with us, however we end."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ganlib.errors import StageFailed

PR_SET_PDEATHSIG = 1


class Child:
    """A running server and where it logs."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    def check(self) -> None:
        """Raises StageFailed when it has ended."""
        if self.process.poll() is not None:
            raise StageFailed(
                f"{self.name} ended with code {self.process.returncode}",
                where=self.name,
                hint=f"its log is {self.log}",
            )

    def wait(self, ready: Callable[[], bool], timeout_s: float = 300.0) -> None:
        """Raises StageFailed when it dies first or takes longer."""
        end = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise StageFailed(
                    f"{self.name} did not answer in {timeout_s:.0f} s",
                    hint=f"its log is {self.log}",
                )
            time.sleep(0.2)


@contextmanager
def child(
    name: str,
    command: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    *,
    patience_s: float = 20.0,
) -> Iterator[Child]:
    """Start `command` in a session of its own; at the end SIGTERM to it, then SIGKILL to the rest.

    Call from the main thread: the system ends the child when the thread that started it ends.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    try:
        yield Child(name, process, log)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
        _kill_session(process)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port(wanted: int) -> int:
    """`wanted`, or another when somebody listens there."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise StageFailed("there is no free port on 127.0.0.1", hint="ganlib doctor says more")


def answers(url: str) -> bool:
    """Whether a GET of `url` succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
