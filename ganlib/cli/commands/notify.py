"""`ganlib schedule notify`: who is told when a run ends badly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ganlib.cli import reaching
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer
from ganlib.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.argument("block", metavar="[TYPE/NAME]", required=False)
@click.option(
    "--on",
    metavar="CAUSES",
    help="Of collapse, refusal, failure and dead-run, with commas.  [default: all]",
)
@click.option("--remove", "removing", is_flag=True, help="Tell TYPE/NAME of nothing any more.")
def notify(options: Options, block: str | None, on: str | None, removing: bool) -> Answer:
    """Tell a notification block of Prefect's server when a scheduled run ends badly.

    TYPE/NAME is the block, made in Prefect's page under Blocks; it holds the address and every
    secret. A message has the reasons, a link to the report where there is one, and the run's page.
    The same again changes nothing, other causes replace those before. Without a block the
    automations there are.

    \b
    ganlib schedule notify slack-webhook/team
    ganlib schedule notify custom-webhook/pager --on failure,dead-run
    ganlib schedule notify slack-webhook/team --remove
    """
    options.unused()
    from flows import notices
    from ganlib.storage import Home

    causes = _causes(on)
    if block is None and (on is not None or removing):
        raise click.UsageError("which block? TYPE/NAME, as slack-webhook/team")
    home = Home.existing(options.place).root
    with reaching.server(home, own=True):
        if block is None:
            told, done = notices.notices(), ""
        elif removing:
            told, done = notices.withdraw(block), " is removed"
        else:
            told, done = notices.notify(block, causes), ""

    def show(console: Console) -> None:
        for one in told:
            off = "" if one.enabled else " (disabled in Prefect's page)"
            console.print(f"{one.cause} to {one.block}{done}{off}", markup=False)
        if not told:
            console.print("nobody is told: ganlib schedule notify TYPE/NAME", style="dim")

    return Answer({"notices": [one.model_dump(mode="json") for one in told]}, show=show)


def _causes(on: str | None) -> list[Any]:
    from flows.notices import CAUSES

    if on is None:
        return list(CAUSES)
    wanted = [word.strip() for word in on.split(",")]
    for word in wanted:
        if word not in CAUSES:
            raise ConfigError(
                f"--on {word!r} is no cause", where="--on", hint=f"there are {', '.join(CAUSES)}"
            )
    return wanted
