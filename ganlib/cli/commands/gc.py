"""`ganlib gc`: room in the home."""

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
    "--keep-runs",
    default=10,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=0),
    help="All that the newest N runs used stays.",
)
@click.option(
    "--days",
    default=14.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="All that is younger stays.",
)
@click.option("--delete", is_flag=True, help="Remove it; without this it is only told.")
def gc(options: Options, keep_runs: int, days: float, delete: bool) -> Answer:
    """Tell which stages of the home nothing reaches any more, and remove them with --delete.

    What made or evaluated a version with an alias is never removed, nor what a run that is not over
    uses. Registered versions and prepared images are not touched.

    \b
    ganlib gc
    ganlib gc --keep-runs 5 --days 30 --delete
    """
    options.unused()
    from ganlib import api

    done = api.gc(keep_runs=keep_runs, days=days, delete=delete, home=options.place)

    def show(console: Console) -> None:
        rows = [
            (one.stage, one.key[:8], _size(one.bytes), one.why)
            for one in (*done.removed, *done.kept)
        ]
        tables.show(console, ("stage", "key", "size", "why"), rows, right=("size",))
        count, size = len(done.removed), _size(done.bytes)
        if done.deleted:
            console.print(f"removed {count}, {size}")
        elif count:
            console.print(f"{count} would be removed, {size}: ganlib gc --delete does it")
        else:
            console.print("nothing to remove")

    return Answer({**done.model_dump(mode="json"), "bytes": done.bytes}, show=show)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
