"""`ganlib bench few`: what a GAN adds for a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlib.cli.measured import counts
from ganlib.cli.options import EPILOG, Options, common, data_folders
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.option(
    "--dataset",
    default="mnist",
    show_default=True,
    type=click.Choice(["digits", "fashion-mnist", "mnist"]),
    help="And the recipe of that name.",
)
@click.option(
    "--per-class",
    default="10,50,100",
    show_default=True,
    metavar="N,N,...",
    callback=lambda _context, _parameter, text: counts(text),
    help="Real images of each class.",
)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--generated",
    default=1000,
    show_default=True,
    type=click.IntRange(10),
    help="Images of each class.",
)
@click.option(
    "--repeats",
    default=2,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Classifiers for each set.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-few"),
    show_default=True,
    help="Data, generators, pictures and results so far; the same command goes on from there.",
)
def few(
    options: Options,
    dataset: str,
    per_class: tuple[int, ...],
    seeds: int,
    generated: int,
    repeats: int,
    out: Path,
) -> Answer:
    """What a GAN adds for a classifier when there are few images of each class.

    Test accuracy after the same number of steps on those images with tuned distortion, on what a
    GAN generates that was trained on the same ones, and on both; gain is both less classical of
    the same images. What follows +- reaches to the ends of the 95 % interval of the mean over
    seeds, by Student's t. MNIST is looked for in GANLIB_DATA. One thread.

    \b
    GANLIB_DATA=/data ganlib bench few --per-class 10,50 --seeds 2 --json
    """
    from ganlib.bench.few import bench_few, table

    told = bench_few(
        out,
        dataset=dataset,
        per_class=per_class,
        seeds=seeds,
        generated=generated,
        repeats=repeats,
        settings=options.assignments,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
    )

    def show(console: Console) -> None:
        from ganlib.cli import tables

        columns, rows = table(told["rows"])
        tables.show(console, columns, rows, right=columns)
        for text in told["warnings"]:
            console.print(text)

    return Answer(told, 0, show)
