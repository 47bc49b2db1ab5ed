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
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    help="Pictures.  [default: 64; 8 seeds of each class with --class-sweep]",
)
@click.option("--class", "classes", multiple=True, help="Only this class; may be given many times.")
@click.option("--seed", type=int, help="Of the first picture; the rest count on.  [default: 0]")
@click.option(
    "--interpolate",
    nargs=2,
    type=int,
    metavar="SEED SEED",
    help="From one seed to the other, a row for each class.",
)
@click.option(
    "--steps",
    type=click.IntRange(2, 256),
    help="Of an interpolation, both ends counted.  [default: 9]",
)
@click.option("--class-sweep", is_flag=True, help="Every class of one seed before the next seed.")
@click.option(
    "--truncation",
    metavar="T",
    type=float,
    help="Cut normal noise off at +-T: better pictures, less variety.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to.  [default: samples-NAME here]",
)
def sample(
    options: Options,
    model: str,
    count: int | None,
    classes: tuple[str, ...],
    seed: int | None,
    interpolate: tuple[int, int] | None,
    steps: int | None,
    class_sweep: bool,
    truncation: float | None,
    out: Path | None,
) -> Answer:
    """Pictures from MODEL: PNGs, one grid, and an npz with their seeds and labels.

    MODEL is a name (its champion), models:/NAME@ALIAS, models:/NAME/VERSION or an exported folder.
    The same seed and class give the same picture.

    \b
    ganlib sample digits --count 100
    ganlib sample models:/digits-generator@champion --class 3 --class 8 --seed 1000 --out threes
    ganlib sample digits --interpolate 3 17 --steps 12
    ganlib sample digits --class-sweep --truncation 0.8
    """
    options.unused()
    from ganlib import api

    done = api.sample(
        model,
        count=count,
        classes=classes,
        seed=seed,
        out=out,
        interpolate=interpolate,
        steps=steps,
        truncation=truncation,
        class_sweep=class_sweep,
        home=options.place,
    )

    def show(console: Console) -> None:
        console.print(f"{done.count} pictures of {', '.join(done.classes)} from {done.model}")
        console.print(f"  grid    {done.grid}\n  each    {done.folder}\n  arrays  {done.npz}")

    return Answer(done.model_dump(mode="json"), show=show)
