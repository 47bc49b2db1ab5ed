"""`ganlib doctor`: what a run needs of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ganlib.cli import tables
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.option(
    "--from-worker",
    is_flag=True,
    help="What worker processes see on each node of the cluster, in place of this machine.",
)
@click.option(
    "--storage",
    metavar="s3://BUCKET/PREFIX",
    help="With --from-worker: put, get, multipart and delete there.  [env: GANLIB_MIRROR]",
)
def doctor(options: Options, from_worker: bool, storage: str | None) -> Answer:
    """Check this machine, and name the one setting that mends what fails.

    Ends with 1 if something a run needs is missing. With --from-worker a worker process on each
    node of RAY_ADDRESS (or of a local Ray) tries storage, MLflow's host list and login, versions,
    clock, home and disk with the environment it has there.

    \b
    ganlib doctor
    ganlib doctor --from-worker --storage s3://bucket/ganlib --json
    """
    options.unused()
    if storage is not None and not from_worker:
        raise click.UsageError("--storage goes with --from-worker")
    from ganlib import api

    checks = api.doctor(home=options.place, from_worker=from_worker, storage=storage)
    failed = [check for check in checks if not check.ok]

    def show(console: Console) -> None:
        from rich.text import Text

        rows = [
            (
                check.name,
                Text("ok", style="green") if check.ok else Text("FAILS", style="bold red"),
                check.found,
            )
            for check in checks
        ]
        tables.show(console, ("check", "", "found"), rows)
        for check in failed:
            console.print(f"{check.name}: {check.fix}", markup=False, style="bold")
        if not failed:
            console.print("all is well: ganlib run")

    told = {"checks": [check.model_dump(mode="json") for check in checks]}
    return Answer(told, exit=1 if failed else 0, show=show)
