"""`ganlib bench gans`: GANs of many kinds side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlib.cli.options import EPILOG, Finite, Options, common, data_folders
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    help="May be given many times.  [default: the six of MNIST]",
)
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    type=click.Choice(["mnist", "fashion-mnist"]),
    help="May be given many times.  [default: both]",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--cpu-minutes", default=10.0, show_default=True, type=Finite(0.01))
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-gans"),
    show_default=True,
    help="Data, judges, generators, pictures and results so far; the same command goes on.",
)
def gans(
    options: Options,
    recipes: tuple[str, ...],
    datasets: tuple[str, ...],
    seed: int,
    cpu_minutes: float,
    out: Path,
) -> Answer:
    """GANs of six kinds on MNIST and Fashion-MNIST, each in so many CPU-minutes.

    Distance, coverage, recall, coverage within classes, classes present, images per CPU-second and
    a picture of each. The datasets are looked for in GANLIB_DATA. One thread; judging is not
    counted. Ends with 1 when a class is missing anywhere.

    \b
    GANLIB_DATA=/data ganlib bench gans --out bench-gans --json
    ganlib bench gans --recipe mnist-dcgan --dataset fashion-mnist --seed 5 --cpu-minutes 2
    """
    from ganlib.bench.gans import DATASETS, RECIPES, bench_gans, table

    told = bench_gans(
        out,
        recipes=recipes or RECIPES,
        datasets=datasets or DATASETS,
        seed=seed,
        minutes=cpu_minutes,
        settings=options.assignments,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
    )

    def show(console: Console) -> None:
        from ganlib.cli import tables

        columns, rows = table(told["cells"])
        tables.show(console, columns, rows, right=columns[2:])

    return Answer(told, 0 if told["passed"] else 1, show)
