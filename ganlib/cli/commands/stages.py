"""`ganlib train`, `sweep`, `evaluate`: the chain up to a stage. What is missing is done first."""

from __future__ import annotations

from typing import Any

import click

from ganlib.cli import pipeline
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

target_argument = click.argument("target", metavar="[RECIPE | FILE.yaml | FOLDER]", required=False)


@click.command(epilog=EPILOG)
@common
@click.option(
    "--only",
    type=click.Choice(["classifiers", "gan"]),
    default="gan",
    help="Stop after the classifiers, or go on to the GAN (the default).",
)
@pipeline.NO_SWEEP
@target_argument
def train(options: Options, target: str | None, only: str, no_sweep: bool) -> Answer:
    """Train the classifiers and the GAN, with the settings that won the sweep.

    \b
    ganlib train digits --only classifiers
    ganlib train digits --no-sweep --set gan.budget.images=20000
    """
    stages = pipeline.stages_until(only, sweeping=not no_sweep)
    return pipeline.execute(options, target, "train", stages, _train, what=only, sweep=not no_sweep)


@click.command(epilog=EPILOG)
@common
@target_argument
def sweep(options: Options, target: str | None) -> Answer:
    """Search settings with which the GAN (or the classifier) does best.

    The space, the number of trials and their budget are settings: see `sweep` in
    `ganlib recipes show NAME`.

    \b
    ganlib sweep digits --set sweep.trials=8
    ganlib sweep digits --set sweep.target=classifier
    """
    return pipeline.execute(options, target, "sweep", pipeline.stages_until("sweep"), _sweep)


@click.command(epilog=EPILOG)
@common
@pipeline.NO_SWEEP
@target_argument
def evaluate(options: Options, target: str | None, no_sweep: bool) -> Answer:
    """Judge the trained generator on held-out images, with spreads and floors.

    \b
    ganlib evaluate digits --set evaluation.repeats=10
    ganlib evaluate mnist --set evaluation.teaching.classifiers=3
    ganlib evaluate digits --no-sweep                    what train --no-sweep trained
    """
    stages = pipeline.stages_until("evaluate", sweeping=not no_sweep)
    return pipeline.execute(options, target, "evaluate", stages, _evaluate, sweep=not no_sweep)


def _train() -> Any:
    from flows.train import train as flow

    return flow


def _sweep() -> Any:
    from flows.sweep import sweep as flow

    return flow


def _evaluate() -> Any:
    from flows.evaluate import evaluate as flow

    return flow
