"""Behind `ganlib schedule serve`: a server, a worker, and schedules kept up with."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganlib.cli.output import Answer
from ganlib.errors import Busy, GanlibError
from ganlib.storage import holding

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from flows.schedules import Schedule

LOOK_S, AGAIN_S, DEAD_S = 1.0, 10.0, 60.0


def serve(home: Path, port: int, at_once: int) -> Answer:
    """Everything started; the answer's `after` is the watch over it."""
    from flows import remains

    begun = _files(home)  # what changes while all starts is told by the watch
    stack = ExitStack()
    try:
        page, checks, told = _start(home, stack, port, at_once)
    except BaseException:
        stack.close()
        raise

    def watch() -> None:
        with stack:
            seen, looked = begun, time.monotonic()
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
    from flows.schedules import POOL, names
    from ganlib.cli.children import child

    stack.enter_context(_alone(home))
    click.echo("starting Prefect", err=True)
    settings.apply(home)
    running = server.start(home, pages=True, port=port)
    stack.callback(running.stop)
    running.wait()
    # What a power cut left running would keep its schedule's one place for minutes.
    remains.close_dead(home, "")
    told = _tell(home, names(home))
    orders.withdraw_gone(home, _ours(home))
    command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--pool", POOL]
    command += ["--type", "process", "--limit", str(at_once), "--install-policy", "never"]
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()]))
    env = {**os.environ, "GANLIB_HOME": str(home), "PYTHONPATH": path}
    worker = stack.enter_context(child("the worker", command, env, home / "prefect" / "worker.log"))
    stack.enter_context(orders.serving(home, running.api_url))
    return running.page, [worker.check, running.check], told


def _keep_up(home: Path, seen: dict[str, int]) -> dict[str, int]:
    """Tell of what changed and of nothing else, which may be paused in Prefect's page.

    What runs meanwhile is not ended by a server that does not listen.
    """
    from flows import orders

    now = _files(home)
    if now == seen:
        return seen
    try:
        _tell(home, [name for name, written in now.items() if seen.get(name) != written])
        if seen.keys() - now.keys():
            orders.withdraw_gone(home, _ours(home))
    except Exception as error:
        click.echo(f"a changed schedule could not be told, and will be again: {error}", err=True)
        time.sleep(AGAIN_S)
        return seen
    return now


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Two servers on one database would both make its runs. Raises Busy naming the other."""
    try:
        with holding(home / "locks" / "serve.lock", "serving schedules"):
            yield
    except Busy as error:
        raise Busy(error.message, where=error.where, hint="one serves them all") from None


def _tell(home: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """Deploy those that our pool runs, and make the runs that were missed.

    One that was paused or resumed in Prefect's page is so here as well.
    """
    from flows import orders
    from flows.schedules import POOL

    told = []
    for name in names:
        kept = _read(home, name)
        if kept is not None and kept.work_pool == POOL:
            made = orders.catch_up(orders.keep_up(kept, home), datetime.now(UTC))
            told.append({"name": name, "caught_up": len(made)})
    return told


def _ours(home: Path) -> list[str]:
    """The names of those that our pool runs, or would, if they could be read."""
    from flows.schedules import POOL, names

    found = {name: _read(home, name, quietly=True) for name in names(home)}
    return [name for name, one in found.items() if one is None or one.work_pool == POOL]


def _read(home: Path, name: str, *, quietly: bool = False) -> Schedule | None:
    """None of one that cannot be read: the others run all the same."""
    from flows.schedules import named

    try:
        return named(home, name)
    except GanlibError as error:
        if not quietly:
            click.echo(f"schedule {name} is left as it was: {error}", err=True)
        return None


def _files(home: Path) -> dict[str, int]:
    """Name of each schedule -> when it was written."""
    from flows.schedules import folder

    return {path.stem: path.stat().st_mtime_ns for path in folder(home).glob("*.json")}
