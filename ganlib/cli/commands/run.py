"""`ganlib run`: from images to a promoted model."""

from __future__ import annotations

from typing import Any

import click

from ganlib.cli import pipeline
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer


@click.command(epilog=EPILOG)
@common
@click.argument("target", metavar="[RECIPE | FILE.yaml | FOLDER]", required=False)
def run(options: Options, target: str | None) -> Answer:
    """From images to a promoted model.

    Prepares the images, trains a judge, sweeps for a GAN that covers its data, trains the winner,
    evaluates it on held-out images and promotes it if the gates agree. What is done already is
    reused; what was interrupted goes on where it was.

    \b
    ganlib run                                     the digits, no download
    ganlib run mnist --home /data/mnist
    ganlib run flowers/ --set data.size=32         your own pictures, by class
    ganlib run photos/                             a flat folder: unlabelled, no classifier
    ganlib run mine.yaml --json > result.json
    ganlib run digits --set gan.generator.optimiser.learning_rate=1e-4
    """
    return pipeline.execute(options, target, "run", pipeline.STAGES, _flow)


def _flow() -> Any:
    from flows.pipeline import pipeline as flow

    return flow
