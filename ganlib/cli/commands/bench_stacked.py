"""`ganlib bench collapse stacked-mnist`, and its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganlib.bench.names import Name, Narrow, Protocol, Stacked
from ganlib.cli.options import Options, data_folders
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = (
    "method",
    "modes",
    "for sure",
    "KL",
    "KL - floor",
    "sure of %",
    "images",
    "seconds",
    "load",
)


def answer(
    out: Path,
    *,
    shared: Path,
    options: Options,
    benchmark: Stacked,
    methods: Sequence[Name],
    seeds: range,
    protocol: Protocol,
    narrow: Narrow,
    minutes: float,
    images: int | None,
) -> Answer:
    """What `bench_stacked` finds."""
    from ganlib.bench.stacked import bench_stacked

    told = bench_stacked(
        out,
        benchmark=benchmark,
        methods=methods,
        seeds=seeds,
        protocol=protocol,
        narrow=narrow,
        minutes=minutes,
        images=images,
        settings=options.assignments,
        shared=shared,
        fresh=options.fresh,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
    )

    def show(console: Console) -> None:
        from ganlib.cli import tables

        for cell in told["cells"]:
            console.print(f"{cell['method']}: {cell['protocol_in_words']}")
        tables.show(console, COLUMNS, list(rows(told)), right=COLUMNS[1:])

    return Answer(told, 0, show)


def rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Each seed of each method and the mean of several, then the papers' means, then real stacks as
    the judge sees them and by their labels.
    """
    found = []
    for cell in told["cells"]:
        for row in cell["rows"]:
            spent = (f"{row['images']:,}", f"{row['seconds']:.0f}", f"{row['load_average']:.1f}")
            figures = _figures(row, told["floor"]["divergence"])
            found.append((f"{cell['method']}, seed {row['seed']}", *figures, *spent))
        if len(cell["rows"]) > 1:
            found.append((f"{cell['method']}, mean", *_means(cell["summary"]), *3 * ("",)))
    for one in told["published"]:
        divergence = "" if one["divergence"] is None else f"{one['divergence']:.3f}"
        name = f"{one['method']}, {one['source']}"
        found.append((name, f"{one['modes']:g}", "", divergence, *5 * ("",)))
    real, floor = told["judge"]["of_held_out_stacks"], told["floor"]["divergence"]
    found.append(("real stacks, held out", *_figures(real, floor), *3 * ("",)))
    found.append(
        ("the floor: real stacks by their labels", "", "", f"{floor:.4f}", "0", *4 * ("",))
    )
    return found


def _means(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """With standard errors over seeds."""
    from ganlib.cli.tables import number

    return (
        number(summary["modes"], 1),
        number(summary["sure_modes"], 1),
        number(summary["divergence"], 4),
        number(summary["divergence_above_floor"], 4),
        number(summary["sure_share"], 1, 100),
    )


def _figures(row: Mapping[str, Any], floor: float) -> tuple[str, ...]:
    return (
        f"{row['modes']}",
        f"{row['sure_modes']}",
        f"{row['divergence']:.4f}",
        f"{row['divergence'] - floor:.4f}",
        f"{100 * row['sure_share']:.1f}",
    )
