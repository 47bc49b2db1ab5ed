"""`ganlib model`: which version is champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ganlib.cli import pipeline
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def model() -> None:
    """Promote a model, or go back to the one before."""


@model.command(epilog=EPILOG)
@common
@pipeline.NO_SWEEP
@click.argument("target", metavar="[RECIPE | FILE.yaml | FOLDER]", required=False)
def promote(options: Options, target: str | None, no_sweep: bool) -> Answer:
    """Register the trained generator and its judge, and promote them if the gates agree.

    Stages that are missing are done first. A generator that is worse than the champion is refused
    with the reasons, and the command ends with 3.

    \b
    ganlib model promote digits --set promotion.min_relative_coverage=0.9
    """
    stages = pipeline.stages_until("promote", sweeping=not no_sweep)
    return pipeline.execute(options, target, "model promote", stages, _promote, sweep=not no_sweep)


@model.command(epilog=EPILOG)
@common
@click.argument("name")
@click.option("--reason", default="", help="Why, for the model's history.")
def rollback(options: Options, name: str, reason: str) -> Answer:
    """Make the champion before this one champion again.

    NAME is a registered model, as `ganlib status` lists them.

    \b
    ganlib model rollback digits-generator --reason "too few sevens"
    """
    options.unused()
    from ganlib import api

    done = api.rollback(
        name, reason=reason, home=options.place, on_wait=lambda who: click.echo(who, err=True)
    )

    def show(console: Console) -> None:
        console.print(f"{done.name}: {done.champion} is champion; it was {done.before}")

    return Answer(done.model_dump(mode="json"), show=show)


def _promote() -> Any:
    from flows.promote import promote as flow

    return flow
