"""`ganlib data`: images to shards."""

from __future__ import annotations

from typing import Any

import click

from ganlib.cli import pipeline
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer


@click.group()
def data() -> None:
    """Prepare images for training."""


@data.command(epilog=EPILOG)
@common
@click.argument("target", metavar="[RECIPE | FILE.yaml | FOLDER]", required=False)
def prepare(options: Options, target: str | None) -> Answer:
    """Decode, check and shard the images, and list what was skipped and why.

    Only what is new is decoded when files were added.

    \b
    ganlib data prepare flowers/ --set data.size=32 --set data.fit=pad
    GANLIB_DATA=/data ganlib data prepare mnist
    """
    return pipeline.execute(options, target, "data prepare", pipeline.STAGES[:1], _prepare)


def _prepare() -> Any:
    from flows.prepare import prepare as flow

    return flow
