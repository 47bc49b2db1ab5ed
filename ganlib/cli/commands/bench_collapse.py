"""`ganlib bench collapse`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ganlib.bench.names import Name, Narrow, Plane, Protocol, Stacked
from ganlib.cli.commands import bench_stacked
from ganlib.cli.options import EPILOG, Finite, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console

PLANES, STACKED = get_args(Plane), get_args(Stacked)
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
@click.argument("benchmark", type=click.Choice([*PLANES, *STACKED]))
@click.option(
    "--method",
    "names",
    default="best",
    show_default=True,
    metavar="NAME,NAME,...",
    help=f"Of {', '.join(METHODS)}, or all.",
)
@click.option("--seeds", type=click.IntRange(1, 1000), help="[default: 10; of stacks 1]")
@click.option("--first-seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="ours", show_default=True)
@click.option("--iterations", type=click.IntRange(1), help="In place of the protocol's.")
@click.option("--minutes", type=Finite(0.01), help="Of stacks, for each seed.  [default: 60]")
@click.option("--images", type=click.IntRange(1), help="Of stacks: at most so many.")
@click.option(
    "--discriminator",
    "narrow",
    type=click.Choice(get_args(Narrow)),
    help="Of stacked-mnist-hard: of the generator's width.  [default: quarter]",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Samples (seed-<n>.npz), pictures and results; the same command goes on from there.  "
    "[default: bench-collapse/BENCHMARK-PROTOCOL/METHOD]",
)
def collapse(
    options: Options,
    benchmark: Plane | Stacked,
    names: str,
    seeds: int | None,
    first_seed: int,
    protocol: Protocol,
    iterations: int | None,
    minutes: float | None,
    images: int | None,
    narrow: Narrow | None,
    out: Path | None,
) -> Answer:
    """Modes a GAN finds and keeps: the literature's benchmarks, beside the papers' numbers.

    ring, grid and grid100: modes found, samples within 3 sigma of one, reverse KL from equal
    shares, what a perfect sampler scores there at as many samples, and how wide the modes are.
    Means over seeds, with standard errors. All seeds of a method learn at once on one thread. --set
    changes a method: --set latent=64.

    stacked-mnist: a thousand modes of three digits each, also counted only where the judge is sure;
    stacked-mnist-hard has the papers' small networks. MNIST is looked for in GANLIB_DATA. Seed
    after seed, on one thread or on a GPU; --set changes the GAN:
    --set discriminator.packing=4.

    \b
    ganlib bench collapse ring --method plain,pacgan2 --seeds 10 --json
    ganlib bench collapse ring --method plain --seeds 1 --protocol paper --out paper-ring
    ganlib bench collapse stacked-mnist --method plain,best --minutes 60 --out stacks --json
    ganlib bench collapse stacked-mnist-hard --discriminator half --minutes 20
    """
    seen = range(first_seed, first_seed + (seeds or (10 if benchmark in PLANES else 1)))
    if benchmark == "stacked-mnist" or benchmark == "stacked-mnist-hard":
        _refuse("of ring, grid and grid100", iterations=iterations)
        if benchmark == "stacked-mnist":
            _refuse("of stacked-mnist-hard", discriminator=narrow)
        asked = _methods(names)
        root = out or Path("bench-collapse") / "-".join(
            [benchmark, protocol, *([narrow] if narrow else [])]
        )
        return bench_stacked.answer(
            root / asked[0] if out is None and len(asked) == 1 else root,
            shared=root,
            options=options,
            benchmark=benchmark,
            methods=asked,
            seeds=seen,
            protocol=protocol,
            narrow=narrow or "quarter",
            minutes=minutes or 60.0,
            images=images,
        )
    _refuse("of stacks", minutes=minutes, images=images, discriminator=narrow)
    return _planes(options, benchmark, _methods(names), seen, protocol, iterations, out)


def _planes(
    options: Options,
    benchmark: Plane,
    methods: tuple[Name, ...],
    seeds: range,
    protocol: Protocol,
    iterations: int | None,
    out: Path | None,
) -> Answer:
    from ganlib.bench.collapse import bench_collapse

    place = out or Path("bench-collapse") / f"{benchmark}-{protocol}"
    told = bench_collapse(
        place / methods[0] if out is None and len(methods) == 1 else place,
        benchmark=benchmark,
        methods=methods,
        seeds=seeds,
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
        console.print(_seeds(told["seeds"], told["tuning_seeds"]))
        tables.show(console, COLUMNS, list(_rows(told)), right=COLUMNS[1:])

    return Answer(told, 0, show)


def _seeds(shown: Sequence[int], tuned: Sequence[int]) -> str:
    """Which there are, and which of them the recommended method was tuned on."""
    both = sorted(set(shown) & set(tuned))
    edges = [seed for seed in tuned if not {seed - 1, seed + 1} <= set(tuned)]
    spans = " and ".join(
        f"{low} to {high}" for low, high in zip(edges[::2], edges[1::2], strict=True)
    )
    told = f"seeds {', '.join(map(str, shown))}; best was tuned on {spans}"
    return told + (f", of which {', '.join(map(str, both))} prove nothing" if both else "")


def _refuse(whose: str, **given: object) -> None:
    """Raises click.BadParameter for an option that is given and does not go with the benchmark."""
    for name, value in given.items():
        if value is not None:
            raise click.BadParameter(f"--{name} is {whose}")


def _methods(text: str) -> tuple[Any, ...]:
    """In the order given; raises click.BadParameter for a name that is none."""
    given = (name.strip() for name in text.split(","))
    names = METHODS if text.strip() == "all" else tuple(dict.fromkeys(given))
    for name in names:
        if name not in METHODS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(METHODS)}, all")
    return names


def _rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Each method, then the papers' own, then a perfect sampler."""
    from ganlib.cli.tables import number

    rows: list[tuple[str, ...]] = []
    for cell in told["cells"]:
        name, found = cell["asked"]["method"], cell["summary"]
        rows.append(
            (
                name,
                f"{number(found['modes'], 1)} of {cell['all_modes']}",
                number(found["quality"], 2, 100),
                number(found["divergence"], 4),
                number(found["divergence_above_floor"], 4),
                number(found["sigma_ratio"], 3),
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
