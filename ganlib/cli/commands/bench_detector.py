"""`ganlib bench detector`: how well collapse is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganlib.cli.options import EPILOG, Options, common, data_folders
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.option(
    "--logs",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Published training runs: runs.csv.gz, fid.csv.gz and losses.csv.gz.",
)
@click.option(
    "--seeds",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Runs of each mechanism and recipe.",
)
@click.option("--first-seed", default=1_000, show_default=True, type=click.IntRange(0))
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    type=click.Choice(["digits", "mnist"]),
    help="May be given many times.  [default: both]",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-detector"),
    show_default=True,
    help="Data, judges and runs so far; the same command goes on from there.",
)
def detector(
    options: Options,
    logs: Path | None,
    seeds: int,
    first_seed: int,
    recipes: tuple[str, ...],
    out: Path,
) -> Answer:
    """How well collapse is told, on published runs and on short runs of our own.

    Of published runs it reads losses and FID alone: hits, early and missed of those that collapsed,
    false alarms of the others and hours saved, beside two simple rules. Runs of our own collapse by
    five mechanisms or are healthy in three ways, which a judge says that the detector does not
    know: recall, false alarms, delay. Thresholds were chosen on seeds below 1000. Ends with 1 when
    a target is missed.

    \b
    ganlib bench detector --logs data/collapse_logs --json
    GANLIB_DATA=/data ganlib bench detector --seeds 5 --recipe digits --out bench-detector
    """
    options.unused()
    if logs is None and not seeds:
        raise click.UsageError("give --logs DIR, --seeds N, or both")
    from ganlib.bench.detector import bench_logs, bench_runs

    def say(text: str) -> None:
        click.echo(text, err=True)

    told: dict[str, Any] = {"passed": True}
    if seeds:
        told |= bench_runs(
            out,
            seeds=seeds,
            first=first_seed,
            recipes=recipes or ("digits", "mnist"),
            search=data_folders(),
            say=say,
        )
    if logs is not None:
        told["logs"] = bench_logs(logs, say=say)
        told["passed"] = told["passed"] and told["logs"]["passed"]

    def show(console: Console) -> None:
        from ganlib.cli import tables

        if seeds:
            plain = [(k, str(v)) for k, v in told.items() if k not in ("rows", "logs")]
            tables.show(console, ("measured", "value"), plain)
        if logs is not None:
            columns = ("rule", "hits", "early", "missed", "false alarms", "hours saved")
            rows = [
                (rule["rule"], *(f"{rule[name.replace(' ', '_')]:.4g}" for name in columns[1:]))
                for rule in told["logs"]["rules"]
            ]
            tables.show(console, columns, rows, right=columns[1:])

    return Answer(told, 0 if told["passed"] else 1, show)
