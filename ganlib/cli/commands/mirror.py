"""`ganlib mirror`: a home's work in a bucket, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console

    from ganlib.stages.values import Mirroring

place_argument = click.argument("uri", metavar="[s3://BUCKET/PREFIX]", required=False)


@click.group()
def mirror() -> None:
    """A home's data, records, models, reports, journals and snapshots in a bucket, and back.

    \b
    ganlib mirror push s3://bucket/flowers
    ganlib mirror pull s3://bucket/flowers --home /data/flowers
    """


@mirror.command(epilog=EPILOG)
@common
@place_argument
def push(options: Options, uri: str | None) -> Answer:
    """Copy what is not there yet; the index that makes it count goes last.

    Nothing is removed there. Without s3://... it is the place that GANLIB_MIRROR names.

    \b
    ganlib mirror push s3://bucket/flowers
    GANLIB_MIRROR=s3://bucket/flowers ganlib mirror push
    """
    options.unused()
    from ganlib import api

    return _answer("pushed to", lambda: api.push(uri, home=options.place))


@mirror.command(epilog=EPILOG)
@common
@place_argument
def pull(options: Options, uri: str | None) -> Answer:
    """Copy what is not here yet, each file checked against what was written.

    Give the home the path it had: records name their files by it. Then the same command goes on.

    \b
    ganlib mirror pull s3://bucket/flowers --home /data/flowers
    """
    options.unused()
    from ganlib import api

    return _answer("pulled from", lambda: api.pull(uri, home=options.place))


def _answer(done: str, call: Callable[[], Mirroring]) -> Answer:
    told = call()

    def show(console: Console) -> None:
        text = f"{told.files} files and {told.snapshots} snapshots, {told.bytes / 1e6:.1f} MB, "
        text += f"{done} {told.uri}; {told.kept} were there"
        console.print(text, markup=False)

    return Answer(told.model_dump(mode="json"), show=show)
