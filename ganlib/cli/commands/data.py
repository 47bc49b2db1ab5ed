"""`ganlib data`: images to shards, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ganlib.cli import pipeline
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console

    from ganlib.stages.quality import Features


@click.group()
def data() -> None:
    """Prepare images for training, and check them."""


@data.command(epilog=EPILOG)
@common
@click.argument("target", metavar="[RECIPE | FILE.yaml | FOLDER]", required=False)
def prepare(options: Options, target: str | None) -> Answer:
    """Decode, check and shard the images, and list what was skipped and why.

    Only what is new is decoded when files were added.

    \b
    ganlib data prepare flowers/ --set data.size=32 --set data.fit=pad
    GANLIB_DATA=/data ganlib data prepare mnist
    """
    return pipeline.execute(options, target, "data prepare", pipeline.STAGES[:1], _prepare)


def _prepare() -> Any:
    from flows.prepare import prepare as flow

    return flow


@data.command(epilog=EPILOG)
@common
@click.argument("target", metavar="[RECIPE | FILE.yaml | FOLDER]", required=False)
@click.option(
    "--against",
    metavar="RECIPE | FOLDER | champion",
    help="Look for drift against these images, or those the champion was trained on.",
)
@click.option(
    "--features",
    type=click.Choice(["auto", "patches", "random", "pretrained", "inception"]),
    default="auto",
    show_default=True,
    help="What wrong labels are looked for in: patches of these images, or a network that "
    "evaluation.extractors knows; auto: patches, pretrained (installed, and at most 10,000 images "
    "in colour) or both, by what the labels agree with best.",
)
@click.option("--strict", is_flag=True, help="End with 3 when something was found.")
def check(
    options: Options, target: str | None, against: str | None, features: Features, strict: bool
) -> Answer:
    """Find copies, leaks between splits, likely label errors, outliers, rare classes and drift.

    Prepares the images first, trains what it needs on the processor, and writes a table (CSV and
    Parquet) and pictures. It changes no image and ends with 0 whatever it finds, unless --strict.
    Labels are suspected, not known, to be wrong: look at label_errors.png.

    \b
    ganlib data check flowers/
    ganlib data check flowers/ --against flowers-of-last-year/
    ganlib data check flowers/ --against champion --strict --json
    ganlib data check flowers/ --set data.size=128 --features pretrained
    """
    from ganlib import api

    config = options.config(target)
    done = api.check_data(
        config, against=against, features=features, home=options.place, fresh=options.fresh
    )
    made = done.value
    told = made.model_dump(mode="json") | {"found": made.found, "reused": done.reused}

    def show(console: Console) -> None:
        from ganlib.cli import tables
        from ganlib.stages.quality import summary

        if said := pipeline.taken(target):
            console.print(said)
        tables.show(console, ("finding", "rows"), summary(made), title=f"{made.images:,} images")
        console.print(f"table: {made.table}\n       {made.parquet}")
        for name, path in made.pictures.items():
            console.print(f"{name.replace('_', ' ')}: {path}")

    return Answer(told, pipeline.NOT_PROMOTED if strict and made.found else 0, show)
