"""`ganlib bench storage`: transfers to and from S3 beside boto3's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.option(
    "--at",
    "uri",
    metavar="s3://BUCKET/PREFIX",
    envvar="GANLIB_MIRROR",
    required=True,
    help="Where to measure; what is written there is deleted.  [env: GANLIB_MIRROR]",
)
@click.option("--megabytes", default=256, show_default=True, type=click.IntRange(16))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
def storage(options: Options, uri: str, megabytes: int, rounds: int) -> Answer:
    """MB/s of a snapshot and of shards, up and down, beside plain boto3 transfers taking turns.

    Ends with 1 when the median of ours over boto3's is below .9 somewhere, or memory grows with the
    file. Credentials and endpoint are AWS's own variables.

    \b
    ganlib bench storage --at s3://bucket/bench --json
    AWS_ENDPOINT_URL_S3=http://localhost:8333 ganlib bench storage --at s3://bucket/bench
    """
    options.unused()
    from ganlib.bench.storage import bench_storage

    told = bench_storage(
        uri, megabytes=megabytes, rounds=rounds, say=lambda text: click.echo(text, err=True)
    )

    def show(console: Console) -> None:
        from ganlib.cli import tables

        rows = [
            (
                t["kind"],
                t["way"],
                f"{t['ours_mb_s']:.0f}",
                f"{t['boto3_mb_s']:.0f}",
                f"{t['ratio']}",
            )
            for t in told["transfers"]
        ]
        tables.show(console, ("", "", "MB/s", "boto3 MB/s", "ratio"), rows)
        console.print(f"memory grew by {told['memory_growth_mb']:.0f} MB", markup=False)

    return Answer(told, exit=0 if told["passed"] else 1, show=show)
