"""`ganlib bench rescue`: what saves a run that collapses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlib.cli.options import EPILOG, Options, common, data_folders
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--first-seed", default=1_000, show_default=True, type=click.IntRange(0))
@click.option("--cause", "causes", multiple=True, help="May be given many times.  [default: all]")
@click.option("--arm", "arms", multiple=True, help="May be given many times.  [default: all]")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-rescue"),
    show_default=True,
    help="Data, judge, runs, pictures and results so far; the same command goes on from there.",
)
def rescue(
    options: Options,
    seeds: int,
    first_seed: int,
    causes: tuple[str, ...],
    arms: tuple[str, ...],
    out: Path,
) -> Answer:
    """The share of collapsing runs that a rescue saves, beside three other things one could do.

    Short runs on scikit-learn's digits that collapse by how their players learn: too fast a
    generator, momentum without normalisation, a far faster generator than discriminator, and no
    normalisation at all. Each is left alone, rescued, rolled back without a change, started anew
    with another seed, and started anew with the recipe's own settings. A judge that the detector
    does not know says which ends healthy. Policies were chosen on seeds below 1000. Ends with 1
    when the rescue saves fewer than nine in ten.

    \b
    ganlib bench rescue --seeds 3 --out bench-rescue --json
    ganlib bench rescue --seeds 1 --cause momentum --arm rescue
    """
    options.unused()
    from ganlib.bench.rescue import bench_rescue
    from ganlib.bench.salvage import ARMS, CAUSES

    for given, known in ((causes, CAUSES), (arms, ARMS)):
        if wrong := [name for name in given if name not in known]:
            raise click.UsageError(f"{wrong[0]!r} is none of {', '.join(known)}")
    told = bench_rescue(
        out,
        seeds=seeds,
        first=first_seed,
        causes=causes or tuple(CAUSES),
        arms=arms or ARMS,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
    )

    def show(console: Console) -> None:
        from ganlib.cli import tables

        rows = [
            (
                arm,
                f"{found['saved']} of {found['runs']}",
                f"{found['interval'][0]:.2f} to {found['interval'][1]:.2f}",
                f"{found['budgets']:.2f}" if found["saved"] else "",
            )
            for arm, found in told["arms"].items()
        ]
        tables.show(console, ("arm", "ends healthy", "95 %", "budgets of images"), rows)

    return Answer(told, 1 if told["passed"] is False else 0, show)
