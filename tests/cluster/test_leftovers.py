"""What a killed driver left is found by pid, start time and mark, and nothing else is touched."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganlib.cluster import end_leftovers
from ganlib.cluster.leftovers import MARK, Footprint, end_processes, records_folder
from ganlib.training import process_started

WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]
SPAWNS = [
    sys.executable,
    "-c",
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'],"
    " stdin=subprocess.PIPE, env={})\n"
    "print(child.pid, flush=True)\n"
    "sys.stdin.read()",
]

# Ended, it leaves a child that shows the mark only later, as one between fork and exec does.
HANDS_ON = [
    sys.executable,
    "-c",
    "import os, signal, subprocess, sys\n"
    f"mark = os.environ.pop('{MARK}')\n"
    f"late = f'sleep 0.1; {MARK}={{mark}} exec sleep 60'\n"
    "def end(*_):\n"
    "    signal.signal(signal.SIGTERM, lambda *_: None)\n"  # it may be asked again meanwhile
    "    subprocess.Popen(['sh', '-c', late], stdout=subprocess.DEVNULL, start_new_session=True)\n"
    "    os._exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('ready', flush=True)\n"
    "sys.stdin.read()",
]


@pytest.fixture
def start() -> Iterator[object]:
    """Start a process that lives until its input is closed."""
    running: list[subprocess.Popen[str]] = []

    def begin(command: list[str], **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def test_the_marked_and_their_children_end_and_others_live(start):
    ours, other = start(SPAWNS, **{MARK: "m1"}), start(WAITS, **{MARK: "m10"})
    child = int(ours.stdout.readline())
    assert {ours.pid, child} == set(end_processes([], "m1"))
    assert process_started(child) is None
    assert ours.wait(10) == -signal.SIGTERM
    assert other.poll() is None


def test_a_child_left_in_the_last_moment_is_ended_too(start):
    ours = start(HANDS_ON, **{MARK: "m5"})
    assert ours.stdout.readline() == "ready\n"
    (first, child) = sorted(end_processes([], "m5"), key=lambda pid: pid != ours.pid)
    assert (first, ours.wait(10)) == (ours.pid, 0)
    assert process_started(child) is None


def test_a_pid_used_again_is_left_alone(start):
    process = start(WAITS)
    began = process_started(process.pid)
    assert began is not None
    assert end_processes([(process.pid, began - 1)], "m2") == []
    assert end_processes([(process.pid, began)], "m2") == [process.pid]


def test_only_the_records_of_dead_drivers_are_ended(start, tmp_path: Path):
    left, used = start(WAITS, **{MARK: "m3"}), start(WAITS, **{MARK: "m4"})
    for mark, owner in (("m3", [4_194_303, 1.0]), ("m4", None)):
        path = tmp_path / f"ray-{mark}.json"
        Footprint(path, mark).write([])
        told = json.loads(path.read_text())
        told["owner"] = owner or told["owner"]
        told["session"] = str(tmp_path / f"session_{mark}")
        (tmp_path / f"session_{mark}").mkdir()
        path.write_text(json.dumps(told))
    elsewhere = {"mark": "m4", "host": f"not-{socket.gethostname()}", "owner": [1, 1.0]}
    (tmp_path / "ray-far.json").write_text(json.dumps({**elsewhere, "processes": []}))
    (tmp_path / "ray-torn.json").write_text("{")
    assert end_leftovers(tmp_path) == [left.pid]
    assert used.poll() is None
    left_over = ["ray-far.json", "ray-m4.json", "session_m4"]
    assert sorted(p.name for p in tmp_path.iterdir()) == left_over


def test_records_lie_in_the_home_of_the_log(tmp_path: Path):
    (tmp_path / "home.json").write_text("{}")
    assert records_folder(tmp_path / "runs" / "gan-1" / "workers.log") == tmp_path / "locks" / "ray"
    assert records_folder(Path("/nowhere/at/all/ray.log")) == Path("/nowhere/at/all")
