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
@click.option(
    "--from",
    "origin",
    metavar="RUN@CLOCK",
    help="Go on from a snapshot of another run, with the settings it had there and --set.",
)
@pipeline.NO_SWEEP
@target_argument
def train(
    options: Options, target: str | None, only: str, origin: str | None, no_sweep: bool
) -> Answer:
    """Train the classifiers and the GAN, with the settings that won the sweep.

    With --from the GAN goes on from where another run was at so many images, in a run of its own.
    Snapshots around a collapse are kept for it.

    \b
    ganlib train digits --only classifiers
    ganlib train digits --no-sweep --set gan.budget.images=20000
    ganlib train --from p-0123456789ab@40000 --set gan.generator.optimiser.learning_rate=2e-4
    """
    if origin is not None:
        return _go_on(options, target, only, origin)
    stages = pipeline.stages_until(only, sweeping=not no_sweep)
    return pipeline.execute(options, target, "train", stages, _train, what=only, sweep=not no_sweep)


def _go_on(options: Options, target: str | None, only: str, origin: str) -> Answer:
    if target is not None or only != "gan":
        raise click.UsageError("--from takes the settings of its run: give no recipe, nor --only")
    from ganlib import api
    from ganlib.config import overlay, parse_assignments

    before = api.snapshot_config(origin, home=options.place)
    config = overlay(before, parse_assignments(options.assignments))
    api.check_snapshot(config, origin, home=options.place)
    return pipeline.execute(
        options,
        before.name,
        "train",
        pipeline.stages_until("gan", sweeping=False),
        _train,
        config=config,
        what="gan",
        sweep=False,
        origin=origin,
    )


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
