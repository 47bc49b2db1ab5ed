"""`ganlib bench detector`: how well collapse is told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganlib.cli.options import EPILOG, Finite, Options, common, data_folders
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
    help="Runs of each mechanism and dataset; 4 make 140 healthy ones and 140 that collapse.",
)
@click.option("--first-seed", default=4_000, show_default=True, type=click.IntRange(0))
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    type=click.Choice(["digits", "mnist", "fashion-mnist", "cifar10", "flowers5"]),
    help="May be given many times.  [default: all]",
)
@click.option(
    "--minutes",
    type=Finite(0),
    help="Begin no other run after so many, and count those there are.",
)
@click.option(
    "--fit",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Fit thresholds on the runs that another call left there, of other seeds.",
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
    datasets: tuple[str, ...],
    minutes: float | None,
    fit: Path | None,
    out: Path,
) -> Answer:
    """How well collapse is told, on published runs and on short runs of our own.

    Of published runs it reads losses and FID alone: hits, early and missed of those that collapsed,
    false alarms of the others and hours saved, beside two simple rules. Runs of our own collapse by
    seven mechanisms or are healthy in seven ways, which a judge says that the detector does not
    know: recall and false alarms with exact intervals, and delay as a share of the run, by
    thresholds that were fitted without the run's own mechanism and dataset, and with --fit without
    its seed. What goes on from a run that the judge does not find healthy does not count. Seeds
    below 4000 were tuned on. --minutes 0 counts what there is. Ends with 1 when a target is missed.

    \b
    ganlib bench detector --logs data/collapse_logs --json
    GANLIB_DATA=/data ganlib bench detector --seeds 4 --minutes 5 --out bench-detector
    ganlib bench detector --seeds 4 --first-seed 3000 --out earlier
    ganlib bench detector --seeds 4 --fit earlier --out bench-detector
    """
    options.unused()
    if logs is None and not seeds:
        raise click.UsageError("give --logs DIR, --seeds N, or both")
    if fit is not None and not seeds:
        raise click.UsageError("--fit is for runs of our own: give --seeds N")
    from ganlib.bench.detector import bench_logs, bench_runs

    def say(text: str) -> None:
        click.echo(text, err=True)

    told: dict[str, Any] = {"passed": True}
    if seeds:
        told |= bench_runs(
            out,
            seeds=seeds,
            first=first_seed,
            datasets=datasets,
            minutes=math.inf if minutes is None else minutes,
            fit=fit,
            search=data_folders(),
            say=say,
        )
    if logs is not None:
        told["logs"] = bench_logs(logs, say=say)
        told["passed"] = told["passed"] and told["logs"]["passed"]

    def show(console: Console) -> None:
        from ganlib.cli import tables

        if seeds:
            columns = ("runs", "recall", "false alarms", "delay", "collapsed", "healthy")
            parts = {
                "thresholds of other runs": told,
                "thresholds of all runs": told["chosen"],
                "default thresholds": told["default"],
                **told["by_mechanism"],
                **told["by_dataset"],
            }
            rows = [(name, *_figures(part)) for name, part in parts.items()]
            tables.show(console, columns, rows, right=columns[1:])
        if logs is not None:
            columns = ("rule", "hits", "early", "missed", "false alarms", "hours saved")
            rows = [
                (rule["rule"], *(f"{rule[name.replace(' ', '_')]:.4g}" for name in columns[1:]))
                for rule in told["logs"]["rules"]
            ]
            tables.show(console, columns, rows, right=columns[1:])

    return Answer(told, 0 if told["passed"] else 1, show)


def _figures(part: dict[str, Any]) -> tuple[str, ...]:
    """Shares with their intervals, in per cent; a dash for none."""

    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.1f}"

    def told(name: str, interval: str) -> str:
        low, high = part[interval]
        span = "" if part[name] is None else f" ({percent(low)} to {percent(high)})"
        return percent(part[name]) + span

    return (
        told("recall", "recall_interval"),
        told("false_alarm_rate", "false_alarm_interval"),
        percent(part["delay"]),
        str(part["collapsed"]),
        str(part["healthy"]),
    )
