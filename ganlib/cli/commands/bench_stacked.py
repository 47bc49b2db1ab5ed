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

        tables.show(console, COLUMNS, list(rows(told)), right=COLUMNS[1:])

    return Answer(told, 0, show)


def rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Each seed of each method, then the papers' means, then real stacks as the judge sees them."""
    found = [
        (
            f"{cell['method']}, seed {row['seed']}",
            *_figures(row, told["floor"]["divergence"]),
            f"{row['images']:,}",
            f"{row['seconds']:.0f}",
            f"{row['load_average']:.1f}",
        )
        for cell in told["cells"]
        for row in cell["rows"]
    ]
    for one in told["published"]:
        divergence = "" if one["divergence"] is None else f"{one['divergence']:.3f}"
        empty = 6 * ("",)
        name = f"{one['method']}, {one['source']}"
        found.append((name, f"{one['modes']:g}", empty[0], divergence, *empty[1:]))
    real = told["judge"]["of_held_out_stacks"]
    found.append(
        ("real stacks, held out", *_figures(real, told["floor"]["divergence"]), "", "", "")
    )
    return found


def _figures(row: Mapping[str, Any], floor: float) -> tuple[str, ...]:
    return (
        f"{row['modes']}",
        f"{row['sure_modes']}",
        f"{row['divergence']:.4f}",
        f"{row['divergence'] - floor:.4f}",
        f"{100 * row['sure_share']:.1f}",
    )
