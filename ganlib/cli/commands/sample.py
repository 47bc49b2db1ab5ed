"""`ganlib sample`: pictures from a generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.argument("model")
@click.option("--count", default=64, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--class", "classes", multiple=True, help="Only this class; may be given many times.")
@click.option(
    "--seed", default=0, show_default=True, help="Of the first picture; the rest count on."
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to.  [default: samples-NAME here]",
)
def sample(
    options: Options, model: str, count: int, classes: tuple[str, ...], seed: int, out: Path | None
) -> Answer:
    """Pictures from MODEL: PNGs, one grid, and an npz with their seeds and labels.

    MODEL is a name (its champion), models:/NAME@ALIAS, models:/NAME/VERSION or an exported folder.
    The same seed and class give the same picture.

    \b
    ganlib sample digits --count 100
    ganlib sample models:/digits-generator@champion --class 3 --class 8 --seed 1000 --out threes
    """
    options.unused()
    from ganlib import api

    done = api.sample(model, count=count, classes=classes, seed=seed, out=out, home=options.place)

    def show(console: Console) -> None:
        console.print(f"{done.count} pictures of {', '.join(done.classes)} from {done.model}")
        console.print(f"  grid    {done.grid}\n  each    {done.folder}\n  arrays  {done.npz}")

    return Answer(done.model_dump(mode="json"), show=show)
