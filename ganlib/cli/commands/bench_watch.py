"""`ganlib bench watch`: what watching for collapse costs."""

from __future__ import annotations

from pathlib import Path

import click

from ganlib.cli.options import EPILOG, Options, common, data_folders
from ganlib.cli.output import Answer


@click.command(epilog=EPILOG)
@common
@click.argument("recipe", default="mnist")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option(
    "--every", type=click.IntRange(1), help="Images between readings.  [default: the recipe's]"
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-watch"),
    show_default=True,
    help="The prepared images.",
)
def watch(options: Options, recipe: str, rounds: int, every: int | None, out: Path) -> Answer:
    """The share of its time that a GAN's training is watched for collapse.

    Two equal runs take turns in one process, one watched and one not. Ends with 1 when readings
    take more than a hundredth of the training between them.

    \b
    GANLIB_DATA=/data ganlib bench watch --json
    ganlib bench watch digits --rounds 5 --every 5000
    """
    options.unused()
    from ganlib.bench.watching import bench_watch

    told = bench_watch(
        recipe,
        rounds=rounds,
        every=every,
        out=out,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
    )
    return Answer(told, 1 if told["passed"] is False else 0)
