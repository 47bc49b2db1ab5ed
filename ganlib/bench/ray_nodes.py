"""A real Ray of one or more nodes on this machine, with its job server, and a token to ask for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlib.bench.marks import kill_once
from ganlib.errors import StageFailed

BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef0123456789abcdef"
MARK, INSTANCE = "GANLIB_BENCH_NODE", "RAY_CLOUD_INSTANCE_ID"
MEMORY = 80 * 2**20


@dataclass
class Nodes:
    """`gcs` is what nodes join, `url` the job server, `env` what nodes have in the environment."""

    folder: Path
    cpus: tuple[int, ...]
    gcs: str
    url: str
    env: dict[str, str]
    token: str = TOKEN
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def client(self) -> dict[str, str]:
        """What somebody who sends jobs has in the environment."""
        return {"RAY_ADDRESS": self.url, "RAY_AUTH_TOKEN": self.token, "RAY_AUTH_MODE": "token"}

    def ask(self, path: str) -> Any:
        """What its server answers to a GET."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def start(self) -> None:
        """Raises StageFailed when the job server does not answer in two minutes."""
        page, port = (place.rpartition(":")[2] for place in (self.url, self.gcs))
        head = ["--head", f"--port={port}", "--include-dashboard=true", f"--temp-dir={self.folder}"]
        self._node(self.cpus[0], *head, "--dashboard-host=127.0.0.1", f"--dashboard-port={page}")
        self._wait()
        for cpus in self.cpus[1:]:
            self.join(cpus)

    def join(self, cpus: int) -> None:
        """One more node with `cpus` CPUs."""
        self._node(cpus, f"--address={self.gcs}")

    def instance(self, number: int) -> str:
        """What a node says that it is, as a cloud would name its machine."""
        return f"{self.mark}-{number}"

    def stop(self) -> None:
        """Asked first: `ray start` ends what it has started. After ten seconds all is killed."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        for number in range(len(self.processes)):
            self.kill(number)
        self.processes.clear()

    def kill(self, number: int) -> None:
        """SIGKILL to all processes of a node, those of jobs and workers too; the head's is 0."""
        while kill_once(MARK, self.instance(number)):
            self.processes[number].poll()
        self.processes[number].wait()

    def _node(self, cpus: int, *options: str) -> None:
        number = len(self.processes)
        command = [str(BIN / "ray"), "start", "--block", "--disable-usage-stats"]
        command += [f"--object-store-memory={MEMORY}", f"--num-cpus={cpus}"]
        command += [f"--dashboard-agent-listen-port={free_port()}", *options]
        with (self.folder / f"node-{number}.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    command,
                    env=self.env | dict.fromkeys((MARK, INSTANCE), self.instance(number)),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _wait(self, timeout_s: float = 120.0) -> None:
        end = time.monotonic() + timeout_s
        while True:
            try:
                self.ask("/api/version")
                return
            except OSError:
                if time.monotonic() > end or self.processes[0].poll() is not None:
                    said = (self.folder / "node-0.log").read_text()[-2000:]
                    raise StageFailed(f"Ray did not start: {said}", where="ray") from None
                time.sleep(0.2)


@contextmanager
def ray_nodes(*cpus: int, token: str = TOKEN, **more: str) -> Iterator[Nodes]:
    """A head with `cpus[0]` CPUs, and a node for each further number; `more` is their environment.

    Paths of sockets are short, so its folder is in the system's temporary one.
    """
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "GANLIB_RAY"))}
    known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    env = {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **more, **known}
    gcs, url = f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    nodes = Nodes(folder, cpus, gcs, url, env, token)
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
