"""Behind `ganlib schedule serve`: a server, a worker, and schedules kept up with."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

LOOK_S, AGAIN_S, DEAD_S = 1.0, 10.0, 60.0


def serve(home: Path, port: int, at_once: int) -> Answer:
    """Everything started; the answer's `after` is the watch over it."""
    from flows import remains

    stack = ExitStack()
    try:
        page, checks, told = _start(home, stack, port, at_once)
    except BaseException:
        stack.close()
        raise

    def watch() -> None:
        with stack:
            seen, looked = _files(home), time.monotonic()
            while True:
                for check in checks:
                    check()
                seen = _keep_up(home, seen)
                if time.monotonic() - looked > DEAD_S:
                    remains.close_dead(home, "")
                    looked = time.monotonic()
                time.sleep(LOOK_S)

    def show(console: Console) -> None:
        console.print(f"Prefect  {page}   what runs, what is due", markup=False)
        for one in told:
            console.print(f"  {one['name']:<20} {one['caught_up']} to catch up", markup=False)
        if not told:
            console.print("no schedules yet: ganlib schedule add", style="dim")
        console.print("Ctrl-C stops it; what is due then is caught up as it is set", style="dim")

    return Answer({"home": str(home), "prefect": page, "schedules": told}, show=show, after=watch)


def _start(
    home: Path, stack: ExitStack, port: int, at_once: int
) -> tuple[str, list[Callable[[], None]], list[dict[str, Any]]]:
    from flows import orders, remains, server, settings
    from flows.schedules import POOL
    from ganlib.cli.children import child

    click.echo("starting Prefect", err=True)
    settings.apply(home)
    running = server.start(home, pages=True, port=port)
    stack.callback(running.stop)
    running.wait()
    # What a power cut left running would keep its schedule's one place for minutes.
    remains.close_dead(home, "")
    told = _tell(home)
    command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--pool", POOL]
    command += ["--type", "process", "--limit", str(at_once), "--install-policy", "never"]
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()]))
    env = {**os.environ, "GANLIB_HOME": str(home), "PYTHONPATH": path}
    worker = stack.enter_context(child("the worker", command, env, home / "prefect" / "worker.log"))
    stack.enter_context(orders.serving(home, running.api_url))
    return running.page, [worker.check, running.check], told


def _keep_up(home: Path, seen: dict[str, int]) -> dict[str, int]:
    """Tell of what changed; what runs meanwhile is not ended by a server that does not listen."""
    now = _files(home)
    if now == seen:
        return seen
    try:
        _tell(home)
    except Exception as error:
        click.echo(f"a changed schedule could not be told, and will be again: {error}", err=True)
        time.sleep(AGAIN_S)
        return seen
    return now


def _tell(home: Path) -> list[dict[str, Any]]:
    """Deploy what our pool runs, and make the runs that were missed."""
    from flows import orders
    from flows.schedules import POOL, kept

    told = []
    for schedule in kept(home):
        if schedule.work_pool == POOL:
            orders.deploy(schedule, home)
            made = orders.catch_up(schedule, datetime.now(UTC))
            told.append({"name": schedule.name, "caught_up": len(made)})
    return told


def _files(home: Path) -> dict[str, int]:
    from flows.schedules import folder

    return {path.name: path.stat().st_mtime_ns for path in folder(home).glob("*.json")}
