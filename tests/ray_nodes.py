"""A real Ray of one or more nodes on this machine, with its job server, and a token to ask for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.s3 import free_port

BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef0123456789abcdef"
MEMORY = 80 * 2**20


@dataclass
class Nodes:
    """`gcs` is what nodes join, `url` the job server."""

    folder: Path
    gcs: str
    url: str
    env: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def client(self) -> dict[str, str]:
        """What somebody who sends jobs has in the environment."""
        return {"RAY_ADDRESS": self.url, "RAY_AUTH_TOKEN": TOKEN, "RAY_AUTH_MODE": "token"}

    def kill_head(self) -> None:
        _kill(self.processes[0])

    def start_head(self) -> None:
        """Again, at the same addresses: a new one, that knows no jobs."""
        self.processes[0] = self._start("--head", *self._head_options())
        self.wait()

    def _head_options(self) -> list[str]:
        port, page = self.gcs.rpartition(":")[2], self.url.rpartition(":")[2]
        return [
            f"--port={port}",
            "--include-dashboard=true",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={page}",
            f"--temp-dir={self.folder}",
        ]

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"node-{len(self.processes)}.log").open("ab") as log:
            return subprocess.Popen(
                [
                    str(BIN / "ray"),
                    "start",
                    "--block",
                    "--disable-usage-stats",
                    f"--object-store-memory={MEMORY}",
                    f"--dashboard-agent-listen-port={free_port()}",
                    *options,
                ],
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, timeout_s: float = 120.0) -> None:
        request = urllib.request.Request(
            f"{self.url}/api/version", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        end = time.monotonic() + timeout_s
        while True:
            try:
                urllib.request.urlopen(request, timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < end, (self.folder / "node-0.log").read_text()
                time.sleep(0.2)


@contextmanager
def ray_nodes(*cpus: int, **more: str) -> Iterator[Nodes]:
    """A head with `cpus[0]` CPUs, and a node for each further number; `more` is their environment.

    Paths of sockets are short, so its folder is in the system's temporary one.
    """
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "GANLIB_RAY"))}
    env = {
        **kept,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        **more,
    }
    nodes = Nodes(folder, f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}", env)
    with ExitStack() as running:
        running.callback(shutil.rmtree, folder, ignore_errors=True)
        running.callback(lambda: [_kill(process) for process in reversed(nodes.processes)])
        nodes.processes.append(
            nodes._start("--head", f"--num-cpus={cpus[0]}", *nodes._head_options())
        )
        nodes.wait()
        for count in cpus[1:]:
            nodes.processes.append(nodes._start(f"--address={nodes.gcs}", f"--num-cpus={count}"))
        yield nodes


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Asked first: `ray start` then ends what it has started; after ten seconds all is killed."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
