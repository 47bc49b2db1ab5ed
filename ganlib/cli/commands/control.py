"""`ganlib cancel` and `ganlib logs`: what can be asked of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.argument("run")
@click.option(
    "--wait",
    "wait_s",
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Patience before it is killed.",
)
def cancel(options: Options, run: str, wait_s: float) -> Answer:
    """Stop RUN in order, and give all its runs their true end.

    RUN is an id from `ganlib status`, or the start of one; a stage or trial stops the whole run it
    belongs to. The command that started it goes on from the last snapshot when it is given again.

    \b
    ganlib cancel p-3f2a
    """
    options.unused()
    from ganlib import api
    from ganlib.storage import Home

    Home.existing(options.place)
    with api.session(options.place):  # so that MLflow hears the end too
        done = api.cancel(run, wait_s=wait_s, home=options.place)

    def show(console: Console) -> None:
        how = {"asked": "stopped in order", "killed": "did not stop and was killed"}
        console.print(f"{done.run}: {how.get(done.how, done.how)}; now {done.state}")

    return Answer(done.model_dump(mode="json"), show=show)


@click.command(epilog=EPILOG)
@common
@click.argument("run", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
def logs(options: Options, run: str | None, follow: bool) -> Answer:
    """What RUN said: its journal in words, and its workers' logs.

    RUN is an id from `ganlib status`, or the start of one; without it, the newest.

    \b
    ganlib logs
    ganlib logs p-3f2a --follow
    """
    options.unused()
    from ganlib import api
    from ganlib.errors import NotFound
    from ganlib.storage import Home

    Home.existing(options.place)
    name = run
    if name is None:
        kept = options.newest_pipeline()
        if kept is None:
            raise NotFound(f"nothing ran in {options.place} yet", hint="ganlib run starts")
        name = kept.stem
    lines = api.logs(name, follow=follow, home=options.place)
    if options.json:
        return Answer({"run": name, "lines": list(lines)})
    for line in lines:
        click.echo(line)
    return Answer()
