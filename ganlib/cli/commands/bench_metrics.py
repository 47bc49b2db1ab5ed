"""`ganlib bench metrics` and `evaluate`: metrics beside others', and on several workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlib.cli.measured import answer, counts
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    pass


@click.command(epilog=EPILOG)
@common
@click.option("--images", default=10_000, show_default=True, type=click.IntRange(1000))
@click.option("--size", default=64, show_default=True, type=click.IntRange(2), help="Features.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
def metrics(
    options: Options, images: int, size: int, seed: int, threads: int, rounds: int
) -> Answer:
    """Metrics beside SciPy's, torch-fidelity's and prdc's on the same features: value and time.

    The others are installed by who compares: pip install --no-deps torch-fidelity prdc tqdm. Ends
    with 1 when a value differs by more than 1e-6 of itself, or, at a judge's 64 features, less
    than five times their processor time is saved.

    \b
    ganlib bench metrics --size 2048 --rounds 1 --json
    """
    options.unused()
    from ganlib.bench.metrics import bench_metrics

    told = bench_metrics(
        images,
        size,
        seed=seed,
        threads=threads,
        rounds=rounds,
        say=lambda text: click.echo(text, err=True),
    )
    return answer(told, told["passed"])


@click.command(epilog=EPILOG)
@common
@click.option("--images", default=50_000, show_default=True, type=click.IntRange(100))
@click.option(
    "--sizes",
    default="64,512",
    show_default=True,
    metavar="N,N,...",
    callback=lambda _context, _parameter, text: counts(text),
    help="Numbers of features.",
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(2))
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-evaluate"),
    show_default=True,
    help="Results so far; the same command goes on from there.",
)
def evaluate(
    options: Options, images: int, sizes: tuple[int, ...], workers: int, seed: int, out: Path
) -> Answer:
    """Frechet and kernel distance and coverage of many images by several workers and by one.

    Memory above an idle worker's, seconds and processor seconds of each. Ends with 1 when a value
    depends on the number of workers by more than 1e-9 of itself.

    \b
    ganlib bench evaluate --sizes 512 --out bench-evaluate --json
    """
    options.unused()
    from ganlib.bench.spread import bench_evaluate

    told = bench_evaluate(
        out,
        images=images,
        sizes=sizes,
        workers=workers,
        seed=seed,
        say=lambda text: click.echo(text, err=True),
    )
    return answer(told, told["passed"])
