"""`ganlib bench`: measurements anyone can repeat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlib.cli.commands.bench_collapse import collapse
from ganlib.cli.commands.bench_detector import detector
from ganlib.cli.commands.bench_few import few
from ganlib.cli.commands.bench_gans import gans
from ganlib.cli.commands.bench_metrics import evaluate, metrics
from ganlib.cli.commands.bench_rescue import rescue
from ganlib.cli.commands.bench_storage import storage
from ganlib.cli.commands.bench_watch import watch
from ganlib.cli.measured import answer
from ganlib.cli.options import EPILOG, Finite, Options, common, data_folders
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from ganlib.stages.quality import Features


@click.group()
def bench() -> None:
    """Measurements anyone can repeat; seeds are printed."""


bench.add_command(collapse)
bench.add_command(detector)
bench.add_command(evaluate)
bench.add_command(few)
bench.add_command(gans)
bench.add_command(metrics)
bench.add_command(rescue)
bench.add_command(storage)
bench.add_command(watch)


@bench.command(epilog=EPILOG)
@common
@click.option("--images", default=20_000, show_default=True, type=click.IntRange(100))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
def data(options: Options, images: int, rounds: int, seed: int) -> Answer:
    """Images per second of folder preparation, beside plain Pillow on one core in the same run.

    The pictures are crops of the flower photographs in GANLIB_DATA, or scikit-learn's digits. Peak
    memory is measured at a quarter of the files and at all of them. Ends with 1 when fewer images
    per second are prepared than is promised.

    \b
    ganlib bench data --images 5000 --json
    """
    options.unused()
    from ganlib.bench.data import bench_data

    told = bench_data(images, search=data_folders(), seed=seed, rounds=rounds, progress=_say)
    return answer(told, told["passed"])


@bench.command(epilog=EPILOG)
@common
@click.argument("recipe", default="digits")
@click.option("--points", default=10, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-kill"),
    show_default=True,
    help="Homes and results so far; the same command goes on from there.",
)
def kill(options: Options, recipe: str, points: int, seed: int, out: Path) -> Answer:
    """SIGKILL a whole run at random moments, run it again, compare the weights.

    Ends with 1 when the weights differ, or a run or process is left behind.

    \b
    ganlib bench kill digits --points 3 --set gan.budget.images=20000
    """
    from ganlib.bench.kill import bench_kill

    told = bench_kill(
        out,
        recipe=recipe,
        points=points,
        seed=seed,
        settings=options.assignments,
        say=lambda text: click.echo(text, err=True),
    )
    kept = told["same_weights"] and not told["left_running"] and not told["left_alive"]
    return answer(told, kept)


@bench.command(epilog=EPILOG)
@common
@click.argument("recipe", default="digits")
@click.option("--times", default=20, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-cancel"),
    show_default=True,
    help="Homes and results so far; the same command goes on from there.",
)
def cancel(options: Options, recipe: str, times: int, seed: int, out: Path) -> Answer:
    """Cancel runs in Prefect while they train on a Ray of two nodes; then kill Prefect and Ray.

    Ends with 1 when the 95th percentile of the time from the click until nothing is held is half a
    minute or more, a process or a RUNNING run is left, or what was killed does not finish.

    \b
    ganlib bench cancel --times 5
    """
    from ganlib.bench.cancel import bench_cancel

    told = bench_cancel(
        out,
        recipe=recipe,
        times=times,
        seed=seed,
        settings=options.assignments,
        say=lambda text: click.echo(text, err=True),
    )
    held = ("in_time", "all_released", "all_killed_in_mlflow", "reattached", "finished")
    return answer(told, all(told[name] for name in held))


@bench.command(epilog=EPILOG)
@common
@click.option("--recipe", default="cifar10", show_default=True)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=8.0, show_default=True, type=Finite(0.1))
@click.option("--quality/--no-quality", default=True, help="Time to a given quality first.")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-quality"),
    show_default=True,
    help="For quality: data, judge and results so far; the same command goes on from there.",
)
def train(
    options: Options,
    recipe: str,
    threads: int,
    rounds: int,
    seconds: float,
    quality: bool,
    out: Path,
) -> Answer:
    """Images per second of training beside a plain PyTorch loop for the same networks.

    In turns of half a second, each in a process of its own: ganlib's loop, and a loop as tutorials
    write it (DataLoader, float32, two Adams, .item() of each loss at every step). Beside it what
    ganlib's loop adds to its bare step. Ends with 1 when the default is measured and the median
    ratio is below what is promised. Before that the CPU-minutes in which both loops come to cover
    four fifths of MNIST, as `ganlib bench quality` measures them: up to twenty, and none where
    they have been measured.

    \b
    ganlib bench train --recipe cifar10 --threads 2 --json
    ganlib bench train --recipe digits --no-quality
    """
    from ganlib.bench.train import bench_train

    told = bench_train(
        recipe,
        settings=options.assignments,
        threads=threads,
        rounds=rounds,
        seconds=seconds,
        quality=out if quality else None,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
    )
    return answer(told, told["passed"] is not False)


@bench.command(epilog=EPILOG)
@common
@click.option("--minutes", default=10.0, show_default=True, type=Finite(0.01))
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-quality"),
    show_default=True,
    help="Data, judge and results so far; the same command goes on from there.",
)
def quality(options: Options, minutes: float, out: Path) -> Answer:
    """CPU-minutes until a GAN covers four fifths of MNIST, beside a plain PyTorch loop.

    MNIST is looked for in GANLIB_DATA. One thread; evaluating is not counted.

    \b
    ganlib bench quality --set gan.batch_size=32 --json
    """
    from ganlib.bench.quality import bench_quality

    told = bench_quality(
        out,
        settings=options.assignments,
        minutes=minutes,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
    )
    return answer(told, told["cells"]["ours"]["reached"])


@bench.command(epilog=EPILOG)
@common
@click.option("--recipe", default="cifar10", show_default=True)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=8.0, show_default=True, type=Finite(0.1))
def scale(options: Options, recipe: str, threads: int, rounds: int, seconds: float) -> Answer:
    """Images per second of one process with that many threads, and of as many processes.

    With GPUs: of one, two, four ... and all of them.

    \b
    ganlib bench scale --recipe mnist --json
    """
    from ganlib.bench.scale import bench_scale

    told = bench_scale(
        recipe,
        settings=options.assignments,
        threads=threads,
        rounds=rounds,
        seconds=seconds,
        say=lambda text: click.echo(text, err=True),
    )
    return answer(told, True)


@bench.command(epilog=EPILOG)
@common
@click.option("--recipe", default="mnist", show_default=True)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-beside"),
    show_default=True,
    help="Data, selector and runs; the same command goes on from there.",
)
def beside(options: Options, recipe: str, rounds: int, out: Path) -> Answer:
    """Seconds of a GAN's training evaluated inside and beside it, and how long it stood still.

    In turns, by one worker of one thread. Ends with 1 when readings or weights differ.

    \b
    GANLIB_DATA=/data ganlib bench beside --rounds 1 --set gan.budget.images=50000 --json
    """
    from ganlib.bench.beside import bench_beside

    told = bench_beside(
        out,
        recipe,
        rounds=rounds,
        settings=options.assignments,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
    )
    return answer(told, told["same"])


@bench.command(epilog=EPILOG)
@common
@click.option("--seed", "seeds", multiple=True, type=int, help="May be given many times.")
@click.option("--each", default=40, show_default=True, type=click.IntRange(1))
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-check"),
    show_default=True,
    help="Pictures, planted copies of them and a home.",
)
@click.option(
    "--features",
    type=click.Choice(["auto", "patches", "random", "pretrained", "inception"]),
    default="auto",
    show_default=True,
    help="As of ganlib data check.",
)
def check(
    options: Options, seeds: tuple[int, ...], each: int, out: Path, features: Features
) -> Answer:
    """Plant faults into photographs and count how many ganlib data check finds.

    Copies (exact, recompressed, resized, brighter or darker, mirrored), leaks from test to train,
    a twentieth of the labels wrong, and pictures that are none. The flower photographs in
    GANLIB_DATA, or scikit-learn's digits. Ends with 1 when copies or leaks are missed or invented.
    What is found before anything is planted counts in neither; precision is told with all of that
    as right and as wrong, too.

    \b
    GANLIB_DATA=/data ganlib bench check --seed 7 --json
    """
    from ganlib.bench.check import bench_check

    told = bench_check(
        out,
        each=each,
        settings=options.assignments,
        features=features,
        search=data_folders(),
        say=lambda text: click.echo(text, err=True),
        **({"seeds": seeds} if seeds else {}),
    )
    return answer(told, told["passed"])


def _say(what: str, done: int, total: int) -> None:
    if done in (0, total) or done % max(1, total // 5) == 0:
        click.echo(f"{what}: {done} of {total}", err=True)
