"""`ganlib ui`: MLflow's and Prefect's pages, and a form to start runs from."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console

    from ganlib.cli.children import Child
    from ganlib.storage import Home

MLFLOW_PORT = 5000
PREFECT_PORT = 4200
PORTS = click.IntRange(0, 65535)


@click.command(epilog=EPILOG)
@common
@click.option("--mlflow-port", default=MLFLOW_PORT, show_default=True, metavar="PORT", type=PORTS)
@click.option("--prefect-port", default=PREFECT_PORT, show_default=True, metavar="PORT", type=PORTS)
def ui(options: Options, mlflow_port: int, prefect_port: int) -> Answer:
    """MLflow's and Prefect's pages on this machine alone, until Ctrl-C.

    MLflow shows runs, curves, grids and the registry. Prefect shows flow runs with their results,
    and has a form for each recipe: change any nested setting and start the pipeline. Another port
    is taken where the wanted one is in use. Servers named by MLFLOW_TRACKING_URI or PREFECT_API_URL
    are used instead of our own.

    \b
    ganlib ui
    ganlib ui --home /data/mnist --mlflow-port 5001
    """
    options.unused()
    from ganlib.storage import Home

    home = Home.open(options.place)
    stack = ExitStack()
    try:
        pages, checks = _start(home, stack, mlflow_port, prefect_port)
    except BaseException:
        stack.close()
        raise

    def serve() -> None:
        with stack:
            while True:
                for check in checks:
                    check()
                time.sleep(0.5)

    return Answer({"home": str(home.root), **pages}, show=_show(pages), after=serve)


def _start(
    home: Home, stack: ExitStack, mlflow_port: int, prefect_port: int
) -> tuple[dict[str, Any], list[Callable[[], None]]]:
    """The addresses, and what raises once a server has ended."""
    from flows import server
    from ganlib import api
    from ganlib.cli import reaching
    from ganlib.tracking.connection import tracking_uri

    click.echo("starting MLflow and Prefect", err=True)
    reaching.settle(home.root)
    running: list[Child] = []
    tracking = tracking_uri(home)
    if not tracking.startswith("http"):
        one, tracking = _mlflow(home, stack, mlflow_port)
        running.append(one)
    prefect = server.start(home.root, pages=True, port=prefect_port)
    stack.callback(prefect.stop)
    prefect.wait()
    running.append(_deployments(home, stack))
    forms = _forms(prefect.api_url, prefect.page, running[-1])
    if running[0].name == "MLflow":
        from ganlib.cli.children import answers

        running[0].wait(lambda: answers(f"{tracking}/health"))
    # Runs of dead processes get their true end, and what waits in journals reaches the pages.
    stack.enter_context(api.session(home.root))
    return {"mlflow": tracking, "prefect": prefect.page, "forms": forms}, [
        *(one.check for one in running),
        prefect.check,
    ]


def _mlflow(home: Home, stack: ExitStack, wanted: int) -> tuple[Child, str]:
    from ganlib.cli.children import child, free_port
    from ganlib.tracking.connection import connect, tracking_uri

    connect(
        home
    )  # a new home's database is made here: the server would leave half of one if killed
    port = free_port(wanted)
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", tracking_uri(home)]
    command += ["--default-artifact-root", str(home.artifacts)]
    env = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    log = home.root / "artifacts" / "ui.log"
    return stack.enter_context(child("MLflow", command, env, log)), f"http://127.0.0.1:{port}"


def _deployments(home: Home, stack: ExitStack) -> Child:
    from ganlib.cli.children import child

    command = [sys.executable, "-P", "-m", "flows.deployments", str(home.root)]
    env = {**os.environ, "GANLIB_HOME": str(home.root)}
    return stack.enter_context(
        child("the pipeline's deployment", command, env, home.prefect / "deployments.log")
    )


def _forms(api: str, page: str, serving: Child) -> dict[str, str]:
    """The address of each recipe's run form, when all are there."""
    from ganlib.config import recipe_names

    found: dict[str, str] = {}

    def ready() -> bool:
        for name in recipe_names():
            if name not in found and (address := _form(api, page, name)):
                found[name] = address
        return len(found) == len(recipe_names())

    serving.wait(ready)
    return found


def _form(api: str, page: str, recipe: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{api}/deployments/name/pipeline/{recipe}", timeout=30) as got:
            return f"{page}/deployments/deployment/{json.load(got)['id']}/run"
    except (OSError, ValueError, KeyError):
        return None


def _show(pages: dict[str, Any]) -> Any:
    def show(console: Console) -> None:
        console.print(f"MLflow   {pages['mlflow']}   runs, curves, grids, models", markup=False)
        console.print(f"Prefect  {pages['prefect']}   flow runs and their results", markup=False)
        console.print("start a run from a form:")
        for name, address in pages["forms"].items():
            console.print(f"  {name:<14} {address}", markup=False)
        console.print("Ctrl-C stops all of it", style="dim")

    return show


__all__ = ["ui"]
