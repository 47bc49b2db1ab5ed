"""`ganlib bench collapse`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ganlib.bench.names import Name, Plane, Protocol
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console

BENCHMARKS = get_args(Plane)
METHODS = get_args(Name)
PROTOCOLS = get_args(Protocol)
COLUMNS = (
    "method",
    "modes",
    "high quality %",
    "KL",
    "KL - floor",
    "sigma ratio",
    "seconds",
    "load",
)


@click.command(epilog=EPILOG)
@common
@click.argument("benchmark", type=click.Choice(BENCHMARKS))
@click.option(
    "--method",
    "methods",
    default="best",
    show_default=True,
    metavar="NAME,NAME,...",
    callback=lambda _context, _parameter, text: _methods(text),
    help=f"Of {', '.join(METHODS)}, or all.",
)
@click.option("--seeds", default=10, show_default=True, type=click.IntRange(1, 1000))
@click.option("--first-seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="ours", show_default=True)
@click.option("--iterations", type=click.IntRange(1), help="In place of the protocol's.")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Samples (seed-<n>.npz), pictures and results; the same command goes on from there.  "
    "[default: bench-collapse/BENCHMARK-PROTOCOL/METHOD]",
)
def collapse(
    options: Options,
    benchmark: Plane,
    methods: tuple[Name, ...],
    seeds: int,
    first_seed: int,
    protocol: Protocol,
    iterations: int | None,
    out: Path | None,
) -> Answer:
    """Modes a GAN finds and keeps: the literature's benchmarks, beside the papers' numbers.

    Modes found, samples within 3 sigma of one, reverse KL from equal shares, what a perfect sampler
    scores there at as many samples, and how wide the modes are. Means over seeds, with standard
    errors. All seeds of a method learn at once on one thread. --set changes a method:
    --set latent=64.

    \b
    ganlib bench collapse ring --method plain,pacgan2 --seeds 10 --json
    ganlib bench collapse ring --method plain --seeds 1 --protocol paper --out paper-ring
    """
    from ganlib.bench.collapse import bench_collapse

    place = out or Path("bench-collapse") / f"{benchmark}-{protocol}"
    told = bench_collapse(
        place / methods[0] if out is None and len(methods) == 1 else place,
        benchmark=benchmark,
        methods=methods,
        seeds=range(first_seed, first_seed + seeds),
        protocol=protocol,
        iterations=iterations,
        settings=options.assignments,
        fresh=options.fresh,
        say=lambda text: click.echo(text, err=True),
    )

    def show(console: Console) -> None:
        from ganlib.cli import tables

        for cell in told["cells"]:
            console.print(f"{cell['asked']['method']}: {cell['protocol_in_words']}")
        tables.show(console, COLUMNS, list(_rows(told)), right=COLUMNS[1:])

    return Answer(told, 0, show)


def _methods(text: str) -> tuple[str, ...]:
    """In the order given; raises click.BadParameter for a name that is none."""
    names = METHODS if text == "all" else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in METHODS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(METHODS)}, all")
    return names


def _rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Each method, then the papers' own, then a perfect sampler."""
    rows: list[tuple[str, ...]] = []
    for cell in told["cells"]:
        name, found = cell["asked"]["method"], cell["summary"]
        rows.append(
            (
                name,
                f"{_number(found['modes'], 1)} of {cell['all_modes']}",
                _number(found["quality"], 2, 100),
                _number(found["divergence"], 4),
                _number(found["divergence_above_floor"], 4),
                _number(found["sigma_ratio"], 3),
                f"{cell['seconds']:.0f}",
                f"{cell['load_average']:.1f}",
            )
        )
    for one in told["published"].values():
        cells = (f"{one['modes']}", f"{100 * one['quality']:.1f}", f"{one['divergence']:.2f}")
        rows.append((f"{one['method']}, {one['source']}", *cells, "", "", "", ""))
    floor = told["floor"]
    perfect = (f"{100 * floor['quality']:.2f}", f"{floor['divergence']:.4f}", "0")
    rows.append(("a perfect sampler", "all", *perfect, f"{floor['sigma_ratio']:.3f}", "", ""))
    return rows


def _number(found: Mapping[str, Any], digits: int, scale: float = 1) -> str:
    """`0.12 +- 0.01`, the mean alone of one seed, `none` of none."""
    if found["mean"] is None:
        return "none"
    error = found["error"]
    told = f"{scale * found['mean']:.{digits}f}"
    return told if error is None else f"{told} +- {scale * error:.{digits}f}"
