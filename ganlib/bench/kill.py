"""`ganlib bench kill`: SIGKILL a whole run at random moments, run the same command, compare.

A first, undisturbed run gives the reference weights and its length. Then the same command is
started and killed with everything it started, at moments drawn from a seed, until `points` kills
are done; whenever it gets through, its weights must be the reference's, no MLflow run may be left
RUNNING and no process alive. Results are written after each kill, so the command can be repeated
after an interruption and goes on.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganlib.bench.marks import carrying, kill_once
from ganlib.errors import StageFailed
from ganlib.storage import read_json, write_json

TAG = "GANLIB_BENCH_KILL"


def bench_kill(
    folder: Path,
    *,
    recipe: str = "digits",
    points: int = 10,
    seed: int = 0,
    settings: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The document of `ganlib bench kill`; homes and `kills.json` are kept in `folder`.

    `same_weights`, `left_running` and `left_alive` are the claims. Raises StageFailed when a run
    that was not killed fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    book = folder / "kills.json"
    order = {"recipe": recipe, "points": points, "seed": seed, "settings": list(settings)}
    state: dict[str, Any] = read_json(book) if book.exists() else {}
    if state.get("order") != order:
        state = {"order": order, "kills": [], "completions": [], "homes": 1}
    if "reference" not in state:
        state["reference"] = _finish(folder / f"reference-{seed}", recipe, settings)
        write_json(book, state)
        say(f"reference: {state['reference']['seconds']:.0f} s")
    length = state["reference"]["seconds"]
    while len(state["kills"]) < points:
        home = folder / f"home-{seed}-{state['homes']}"
        wait = random.Random(f"{seed}/{len(state['kills'])}").uniform(3.0, length)
        done = _run_and_kill(home, recipe, settings, wait)
        if done:  # it got through before the kill: judge it, and go on in a fresh home
            state["completions"].append(_finish(home, recipe, settings))
            state["homes"] += 1
        else:
            state["kills"].append({"seconds": round(wait, 1), "home": home.name})
            say(f"kill {len(state['kills'])} of {points} after {wait:.0f} s")
        write_json(book, state)
    home = folder / f"home-{seed}-{state['homes']}"
    state["completions"].append(_finish(home, recipe, settings))
    write_json(book, state)
    reference = state["reference"]["weights"]
    return {
        **order,
        "seconds_undisturbed": round(length, 1),
        "kills": state["kills"],
        "completions": state["completions"],
        "same_weights": all(c["weights"] == reference for c in state["completions"]),
        "left_running": max(c["running"] for c in state["completions"]),
        "left_alive": max(c["alive"] for c in state["completions"]),
        "load_average": os.getloadavg(),
    }


def _command(home: Path, recipe: str, settings: tuple[str, ...]) -> list[str]:
    binary = str(Path(sys.executable).parent / "ganlib")
    chosen = [word for setting in settings for word in ("--set", setting)]
    return [binary, "run", recipe, "--home", str(home), "--json", *chosen]


def _finish(home: Path, recipe: str, settings: tuple[str, ...]) -> dict[str, Any]:
    """Run to the end, and look at what is left: weights, RUNNING runs, living processes."""
    tag = uuid.uuid4().hex
    started = time.monotonic()
    done = subprocess.run(
        _command(home, recipe, settings),
        env={**os.environ, TAG: tag},
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - started
    if done.returncode not in (0, 3):
        raise StageFailed(
            f"the run in {home} ended with {done.returncode}: {done.stderr[-2000:]}",
            where=str(home),
        )
    result = json.loads(done.stdout)["result"]
    return {
        "home": home.name,
        "exit": done.returncode,
        "seconds": round(seconds, 1),
        "weights": result["candidate"]["weights"],
        "running": _running(home / "mlflow.db"),
        "alive": len(carrying(TAG, tag)),
    }


def _run_and_kill(home: Path, recipe: str, settings: tuple[str, ...], wait: float) -> bool:
    """Whether the run ended by itself within `wait` seconds; otherwise all of it is killed."""
    tag = uuid.uuid4().hex
    with subprocess.Popen(
        _command(home, recipe, settings),
        env={**os.environ, TAG: tag},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            process.wait(timeout=wait)
            return True
        except subprocess.TimeoutExpired:
            while kill_once(TAG, tag):
                process.poll()
            process.wait()
            return False


def _running(database: Path) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        count = connection.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchone()
    return int(count[0])
