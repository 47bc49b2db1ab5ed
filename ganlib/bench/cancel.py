"""`ganlib bench cancel`: runs on a Ray of two nodes are cancelled in Prefect while they train.

Of each the time from the click until nothing is held any more, by the receipt and by the processes
of this machine, and the ends in MLflow. Then one run is drilled: Prefect's server, worker and the
run's own process are killed, and the head of Ray is, and it must finish by what is left. Results
are written after each, so that the same command goes on.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganlib.bench.nightly import Served, command, environment, served, waiting
from ganlib.bench.ray_nodes import Nodes, ray_nodes
from ganlib.storage import read_json, write_json
from ganlib.training import process_started, read_journal

ENDLESS = ("sweep.trials=1", "gan.budget.images=100000000")
DRILLED = (*ENDLESS, "gan.budget.wall_minutes=4")
"""Whatever the recipe, it still trains when Prefect is back."""
PATIENCE_S = 400.0
LIMIT_S = 30.0


def bench_cancel(
    folder: Path,
    *,
    recipe: str = "digits",
    times: int = 20,
    seed: int = 0,
    settings: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The document of `ganlib bench cancel`; homes and `cancels.json` are kept in `folder`."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    book = folder / "cancels.json"
    order = {"recipe": recipe, "times": times, "seed": seed, "settings": list(settings)}
    state: dict[str, Any] = read_json(book) if book.exists() else {}
    if {**state.get("order", {}), "times": times} != order:
        state = {"cancels": [], "drill": None}
    state["order"] = order
    if len(state["cancels"]) < times:
        with _night(folder / f"endless-{seed}", recipe, (*settings, *ENDLESS)) as (serve, _, name):
            while len(state["cancels"]) < times:
                rng = random.Random(f"{seed}/{len(state['cancels'])}")
                state["cancels"].append(_cancelled(serve, name, rng.uniform(0.0, 8.0)))
                write_json(book, state)
                say(f"{len(state['cancels'])} of {times}: {state['cancels'][-1]['seconds']} s")
    if state["drill"] is None:
        drilled = (*settings, *DRILLED)
        with _night(folder / f"drill-{seed}", recipe, drilled) as (serve, nodes, name):
            state["drill"] = _drilled(serve, nodes, name, say)
            write_json(book, state)
    return {**order, **_summary(state), "load_average": os.getloadavg()}


def _summary(state: dict[str, Any]) -> dict[str, Any]:
    seconds = sorted(one["seconds"] or PATIENCE_S for one in state["cancels"])
    p95 = seconds[max(0, -(-95 * len(seconds) // 100) - 1)]
    drill = state["drill"]
    return {
        "cancels": state["cancels"],
        "p50_seconds": seconds[len(seconds) // 2],
        "p95_seconds": p95,
        "limit_seconds": LIMIT_S,
        "in_time": p95 < LIMIT_S,
        "all_released": all(c["released"] and not c["left_alive"] for c in state["cancels"]),
        "all_killed_in_mlflow": all(c["mlflow"] == ["KILLED", "KILLED"] for c in state["cancels"]),
        "all_shown": all(c["shown"] for c in state["cancels"]),
        "drill": drill,
        "reattached": drill["jobs_after_power_cut"] == 1,
        "finished": drill["state"] == "COMPLETED",
    }


@contextmanager
def _night(
    home: Path, recipe: str, settings: tuple[str, ...]
) -> Iterator[tuple[Served, Nodes, str]]:
    """Everything up, and the schedule that no clock fires soon."""
    with ray_nodes(1, 1) as nodes:
        env = environment(home, nodes.client())
        if not list((home / "prefect" / "schedules").glob("*.json")):
            chosen = [word for setting in settings for word in ("--set", setting)]
            rare = ("--cron", "0 0 1 1 *", "--catch-up", "none")
            command(env, "schedule", "add", recipe, *rare, *chosen)
        (known,) = (home / "prefect" / "schedules").glob("*.json")
        with served(home, env) as serve:
            yield serve, nodes, known.stem


def _cancelled(serve: Served, schedule: str, wait_s: float) -> dict[str, Any]:
    begun = time.time()
    run = serve.begin(schedule)
    stage = _training(serve, run, begun)
    time.sleep(wait_s)
    clicked = time.time()
    serve.set_state(run, "CANCELLING", "Cancelling")
    ended = serve.until_over(run, PATIENCE_S)
    over = time.time()
    path = max(_jobs(serve.home, stage), key=lambda p: p.stat().st_mtime) / "release.json"
    told = read_json(path) if path.exists() else {}
    processes = told.get("before", {}).get("processes", [])
    return {
        "state": ended,
        "seconds": round(told["free"] - clicked, 1) if told.get("released") else None,
        "seconds_to_cancelled": round(over - clicked, 1),
        "seconds_of_stopping": told.get("seconds"),
        "released": bool(told.get("released")),
        "held": {"processes": len(processes), "used": told.get("before", {}).get("used")},
        "left": told.get("after", {}).get("used"),
        "left_alive": sum(process_started(one["pid"]) is not None for one in processes),
        "mlflow": _ends(serve.home, (stage, stage.partition(".")[0])),
        "shown": any(one["key"].endswith("-release") for one in serve.artifacts(run)),
        "load": round(os.getloadavg()[0], 1),
    }


def _drilled(
    serve: Served, nodes: Nodes, schedule: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """One run, whose Prefect is killed first and whose head of Ray later."""
    begun = time.time()
    run = serve.begin(schedule)
    stage = _training(serve, run, begun)
    serve.power_cut()
    say("Prefect is killed, and started again")
    cut = time.time()
    serve.start()
    # Its server has come back with the run's last state, and ends what no process works on.
    waiting(lambda: serve.state(run) == "CRASHED", PATIENCE_S, "the run to be found dead")
    serve.set_state(run, "SCHEDULED", "AwaitingRetry")
    waiting(lambda: _attached(serve.home, stage, cut), PATIENCE_S, "the run to attach")
    back = time.time()
    jobs = len(_jobs(serve.home, stage))
    _training(serve, run, back)
    nodes.kill(0)
    say("the head of Ray is killed, and started again")
    nodes.stop()
    nodes.start()
    state = serve.until_over(run, 3 * PATIENCE_S)
    return {
        "state": state,
        "seconds_to_attach": round(back - cut, 1),
        "jobs_after_power_cut": jobs,
        "jobs": len(_jobs(serve.home, stage)),
        "seconds": round(time.time() - begun, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def _training(serve: Served, run: str, since: float) -> str:
    """Wait until the GAN of this run trains; the id of its stage's run."""
    found: list[str] = []

    def trains() -> bool:
        if serve.state(run) in ("COMPLETED", "FAILED", "CRASHED"):
            return True
        for path in serve.home.glob("spool/p-*.gan-*.jsonl"):
            lines = [one for one in read_journal(path) if one["kind"] == "metrics"]
            if lines and lines[-1]["t"] > since:
                found.append(path.stem)
        return bool(found)

    waiting(trains, PATIENCE_S, "the GAN to be trained")
    if not found:
        waiting(lambda: False, 0, f"the GAN to be trained, and the run is {serve.state(run)}")
    return found[0]


def _jobs(home: Path, stage: str) -> list[Path]:
    return list((home / "runs" / "jobs").glob(f"{stage}.*"))


def _attached(home: Path, stage: str, since: float) -> bool:
    path = home / "spool" / f"{stage.partition('.')[0]}.jsonl"
    notes = (one for one in read_journal(path) if one["kind"] == "note" and one["t"] > since)
    return any(one["text"].startswith("attached to Ray job") for one in notes)


def _ends(home: Path, runs: tuple[str, ...]) -> list[str]:
    """The status in MLflow of the runs of these journals."""
    question = (
        "SELECT r.status FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
        f"WHERE t.key = 'ganlib.journal' AND t.value IN ({', '.join('?' * len(runs))})"
    )
    with sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=ro", uri=True) as connection:
        return [str(row[0]) for row in connection.execute(question, runs)]
